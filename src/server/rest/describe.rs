//! The description of what is answered by HTTP, as OpenAPI has it, from the code that answers.

use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};

/// Everything under `/v1` but the socket.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Tickwire",
        description = "States of a market by HTTP, with the `epoch` and `seq` of their stream. The stream itself is a WebSocket at /v1/ws, which /v1/asyncapi.json describes, or server-sent events at /v1/sse."
    ),
    paths(
        super::instruments,
        super::quotes,
        super::tickers,
        super::book,
        super::trades,
        super::bars,
        crate::server::sse::enter,
        crate::server::auth::gate::exchange,
        crate::server::admin::connections,
        crate::server::admin::tap,
    ),
    components(schemas(super::problem::Problem)),
    security((), ("bearer" = [])),
    modifiers(&Bearer)
)]
pub(super) struct Description;

/// A token or an API key, in the header `Authorization`.
struct Bearer;

impl Modify for Bearer {
    fn modify(&self, description: &mut utoipa::openapi::OpenApi) {
        let bearer = SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build());
        description.components.get_or_insert_default().add_security_scheme("bearer", bearer);
    }
}
