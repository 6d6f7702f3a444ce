//! Whose request it is, as far as REST is concerned: what they may see, and by whom their answers are counted.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use super::Refusal;
use crate::entitlement::Entitlement;
use crate::metrics::AuthRefusal;
use crate::server::admission::Holder;
use crate::server::admission::gate::Counted;
use crate::topic::{Channel, Rate};

/// What whoever asks may see, as it stands in the request's extensions since it is known who that is.
pub(super) struct Entitled {
    pub(super) entitlement: Arc<Entitlement>,
    /// `None`: nobody is counted.
    pub(super) holder: Option<Holder>,
}

impl Entitled {
    /// The rate at which a state that is read changes at most.
    pub(super) fn rate(&self, channel: Channel) -> Rate {
        self.entitlement.rate(channel, Rate::Raw)
    }
}

impl<S: Sync> FromRequestParts<S> for Entitled {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        let known = parts.extensions.get::<Arc<Entitlement>>().map(Arc::clone);
        let entitlement = known.ok_or_else(|| Refusal::auth(AuthRefusal::Missing))?;
        let holder = parts.extensions.get().and_then(|&Counted(holder)| holder);
        Ok(Self { entitlement, holder })
    }
}
