//! How long a connection may stand, by what its client has presented.

use std::sync::Arc;
use std::time::Instant;

use feeds::Timestamp;
use feeds::clock::monotonic;

use super::{Auth, Identity, Seat};
use crate::entitlement::Entitlement;
use crate::limits::{AUTH_WAIT, TOKEN_LEEWAY};
use crate::metrics::{AuthRefusal, Metrics};

/// Who is at the other end of a connection, and what of it has been looked at.
pub(in crate::server) struct Lease {
    /// `None`: it has not said so yet.
    identity: Option<Arc<Identity>>,
    /// Of somebody with a name.
    seat: Option<Seat>,
    since: Instant,
    is_told: bool,
    /// What is revoked was looked at in this generation.
    generation: u64,
}

/// What is to be done about a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::server) enum Due {
    /// Nothing, yet.
    Nothing,
    /// To be told that its token is over then.
    Notice(Timestamp),
    /// To be shown this and no more.
    Entitle(Arc<Entitlement>),
    /// To be closed.
    End(AuthRefusal),
}

impl Lease {
    /// Of a connection that has come now.
    ///
    /// # Errors
    /// [`AuthRefusal::Connections`].
    fn new(auth: &Auth, identity: Option<Arc<Identity>>, since: Instant) -> Result<Self, AuthRefusal> {
        let seat = identity.as_ref().map_or(Ok(None), |identity| auth.seat(identity))?;
        Ok(Self { identity, seat, since, is_told: false, generation: 0 })
    }

    /// Of a connection that has come now; `None` where nobody is asked who it is.
    ///
    /// # Errors
    /// [`AuthRefusal::Connections`], counted.
    pub(in crate::server) fn grant(
        auth: &Auth,
        metrics: &Metrics,
        identity: Option<Arc<Identity>>,
    ) -> Result<Option<Self>, AuthRefusal> {
        if !auth.is_on() {
            return Ok(None);
        }
        let lease = Self::new(auth, identity, monotonic());
        lease.map(Some).inspect_err(|refusal| metrics.auth_refused_total().of(*refusal).add(1))
    }

    /// Who it is.
    pub(in crate::server) const fn identity(&self) -> Option<&Arc<Identity>> {
        self.identity.as_ref()
    }

    /// Takes up what its client has presented now.
    ///
    /// # Errors
    /// [`AuthRefusal::Subject`]: it is another's than before; [`AuthRefusal::Connections`]. All stays as it was.
    pub(in crate::server) fn renew(
        &mut self,
        auth: &Auth,
        identity: Arc<Identity>,
    ) -> Result<(), AuthRefusal> {
        let before = self.identity.as_ref().and_then(|identity| identity.subject.as_ref());
        if before.is_some() && before != identity.subject.as_ref() {
            return Err(AuthRefusal::Subject);
        }
        if self.seat.is_none() {
            self.seat = auth.seat(&identity)?;
        }
        (self.identity, self.is_told, self.generation) = (Some(identity), false, 0);
        Ok(())
    }

    /// What is to be done about it at this time.
    pub(in crate::server) fn due(&mut self, auth: &Auth, now: Instant, time: Timestamp) -> Due {
        let Some(identity) = &self.identity else {
            let is_late = now.duration_since(self.since) >= AUTH_WAIT;
            return if is_late { Due::End(AuthRefusal::Timeout) } else { Due::Nothing };
        };
        if self.seat.as_ref().is_some_and(Seat::is_taken_over) {
            return Due::End(AuthRefusal::Connections);
        }
        let generation = auth.generation();
        if self.generation != generation {
            self.generation = generation;
            match auth.look_again(identity) {
                Ok(None) => {}
                Ok(Some(entitlement)) => {
                    let identity = Identity { entitlement: Arc::clone(&entitlement), ..(**identity).clone() };
                    self.identity = Some(Arc::new(identity));
                    return Due::Entitle(entitlement);
                }
                Err(refusal) => return Due::End(refusal),
            }
        }
        match identity.expires {
            Some(expires) if expires.plus(TOKEN_LEEWAY) <= time => Due::End(AuthRefusal::Expired),
            Some(expires) if !self.is_told && expires <= time.plus(auth.notice()) => {
                self.is_told = true;
                Due::Notice(expires)
            }
            _ => Due::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use feeds::Clock;

    use super::super::{Granted, Settings};
    use super::*;

    const NOW: Timestamp = Timestamp(1_800_000_000_000_000_000);

    fn auth() -> Auth {
        let nothing = Some(Arc::new(Entitlement::nothing()));
        let settings =
            Settings { anonymous: nothing, notice: Duration::from_secs(60), ..Settings::default() };
        Auth::open(&settings, Clock::manual(NOW), &Metrics::default()).expect("no files")
    }

    fn until(subject: &str, expires: Timestamp) -> Arc<Identity> {
        let entitlement = Arc::new(Entitlement::everything());
        let (subject, expires) = (Some(subject.to_owned()), Some(expires));
        let granted = Granted::Token;
        Arc::new(Identity {
            subject,
            entitlement,
            granted,
            expires,
            token_id: None,
            api_key: None,
            key: None,
            signed_by: None,
        })
    }

    #[test]
    fn who_says_nothing_is_waited_for_so_long() {
        let (auth, since) = (auth(), monotonic());
        let mut lease = Lease::new(&auth, None, since).expect("no bound");
        let just = Duration::from_millis(1);
        assert_eq!(lease.due(&auth, since + AUTH_WAIT - just, NOW), Due::Nothing);
        assert_eq!(lease.due(&auth, since + AUTH_WAIT, NOW), Due::End(AuthRefusal::Timeout));
        let expires = NOW.plus(Duration::from_secs(600));
        lease.renew(&auth, until("anna", expires)).expect("the first");
        assert_eq!(lease.due(&auth, since + AUTH_WAIT, NOW), Due::Nothing);
    }

    #[test]
    fn the_end_of_a_token_is_told_once_and_put_off_by_another_of_the_same() {
        let (auth, since) = (auth(), monotonic());
        let at = |seconds| NOW.plus(Duration::from_secs(seconds));
        let mut lease = Lease::new(&auth, Some(until("anna", at(100))), since).expect("no bound");
        assert_eq!(lease.due(&auth, since, at(39)), Due::Nothing);
        assert_eq!(lease.due(&auth, since, at(40)), Due::Notice(at(100)));
        assert_eq!(lease.due(&auth, since, at(41)), Due::Nothing);
        assert_eq!(lease.renew(&auth, until("ben", at(500))), Err(AuthRefusal::Subject));
        lease.renew(&auth, until("anna", at(200))).expect("the same");
        assert_eq!(lease.due(&auth, since, at(103)), Due::Nothing);
        assert_eq!(lease.due(&auth, since, at(150)), Due::Notice(at(200)));
        assert_eq!(lease.due(&auth, since, at(201)), Due::Nothing);
        assert_eq!(lease.due(&auth, since, at(202)), Due::End(AuthRefusal::Expired));
    }
}
