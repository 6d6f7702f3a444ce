//! Who sends an HTTP request, and a short-lived token for who has an API key.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, Router, any, post};

use super::super::rest::schema::{Refused, Token};
use super::super::rest::{Refusal, json_response};
use super::{Auth, Identity, Lease, present};
use crate::metrics::{AuthRefusal, Metrics};

/// Before everything that only those may have who are let in.
#[derive(Clone)]
pub(in crate::server) struct Gate {
    pub(in crate::server) auth: Auth,
    pub(in crate::server) metrics: Metrics,
}

impl Gate {
    /// Who sends a request; `None`: nobody in particular, where these are not let in.
    ///
    /// # Errors
    /// The answer to somebody who is not.
    pub(in crate::server) async fn caller(
        &self,
        headers: &HeaderMap,
        uri: &Uri,
    ) -> Result<Option<Arc<Identity>>, Refusal> {
        let credential = present::credential(headers, uri, self.auth.is_on());
        match credential.map_err(|refusal| self.refuse(refusal))? {
            None => Ok(self.auth.anonymous()),
            Some(credential) => {
                self.auth.identify(&credential).await.map(Some).map_err(|refusal| self.refuse(refusal))
            }
        }
    }

    /// What a connection of that identity may stand on; `None` where nobody is asked who it is.
    ///
    /// # Errors
    /// [`AuthRefusal::Connections`], counted.
    pub(in crate::server) fn lease(&self, identity: Arc<Identity>) -> Result<Option<Lease>, AuthRefusal> {
        Lease::grant(&self.auth, &self.metrics, Some(identity))
    }

    /// The answer to somebody who is not let in; counted.
    pub(in crate::server) fn refuse(&self, refusal: AuthRefusal) -> Refusal {
        self.metrics.auth_refused_total().of(refusal).add(1);
        Refusal::auth(refusal)
    }
}

/// Hands a request on with what its sender may see, or refuses it.
pub(in crate::server) async fn enter(State(gate): State<Gate>, mut request: Request, next: Next) -> Response {
    match gate.caller(request.headers(), request.uri()).await {
        Ok(Some(identity)) => {
            request.extensions_mut().insert(Arc::clone(&identity.entitlement));
            next.run(request).await
        }
        Ok(None) => gate.refuse(AuthRefusal::Missing).into_response(),
        Err(refusal) => refusal.into_response(),
    }
}

/// Where there is nothing: also there, a token in the URL has been shown.
pub(in crate::server) fn nowhere(gate: Gate) -> MethodRouter {
    let answer = async |State(gate): State<Gate>, headers: HeaderMap, uri: Uri| match present::credential(
        &headers, &uri, false,
    ) {
        Ok(_) => Refusal::not_found(),
        Err(refusal) => gate.refuse(refusal),
    };
    any(answer).with_state(gate)
}

pub(in crate::server) fn routes(gate: Gate) -> Router {
    Router::new().route("/v1/token", post(exchange)).with_state(gate)
}

/// A short-lived token for an API key.
#[utoipa::path(
    post, path = "/v1/token",
    responses((status = 200, description = "The token", body = Token), Refused),
    security(("bearer" = []))
)]
pub(in crate::server) async fn exchange(
    State(gate): State<Gate>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Refusal> {
    if headers.get(header::CONTENT_LENGTH).is_some_and(|length| length != "0") {
        return Err(Refusal::content());
    }
    let refuse = |refusal| gate.refuse(refusal);
    let credential = present::credential(&headers, &uri, true).map_err(refuse)?;
    let credential = credential.ok_or(AuthRefusal::Missing).map_err(refuse)?;
    if !gate.auth.is_on() {
        return Err(Refusal::no_tokens());
    }
    let (token, lifetime) =
        gate.auth.exchange(&credential).map_err(refuse)?.ok_or_else(Refusal::no_tokens)?;
    let body = serde_json::json!({ "token": token.expose(), "expires_in": lifetime.as_secs() });
    Ok(json_response(StatusCode::OK, body.to_string().into()))
}
