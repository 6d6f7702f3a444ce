//! Who a client is: somebody with a token or an API key, or nobody in particular, and what each may see.
//!
//! What is pure is in files of its own: [`jwt`], [`jwks`], [`api_key`], [`revocation`]. Files are read again when they have
//! changed, and a JWKS at a URL now and then, by a thread of its own.

pub mod api_key;
mod fetch;
mod follow;
pub(super) mod gate;
pub mod jwks;
pub mod jwt;
mod lease;
mod present;
pub mod revocation;
mod seats;
mod signatures;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use feeds::{Clock, Timestamp};

use self::api_key::{ApiKey, ApiKeys};
use self::follow::Fetches;
pub(super) use self::gate::{Gate, enter, nowhere, routes};
use self::jwks::Place;
use self::jwt::{Claims, Fingerprint, Key, Rules, SigningKey, Verified};
pub(super) use self::lease::{Due, Lease};
pub use self::present::{SUBPROTOCOL_PREFIX, credential, is_in_url};
use self::revocation::Revocations;
pub use self::seats::Bound;
use self::seats::{Seat, Seats, Who};
use crate::entitlement::Entitlement;
use crate::limits::{AUTH_FILE_BYTES_MAX, IDENTITY_BYTES_MAX};
use crate::metrics::{AuthRefusal, Metrics};
use crate::secret::Secret;
use crate::wire::code::CloseCode;

/// What the roles of the configuration may see, by their names.
pub type Roles = BTreeMap<String, Arc<Entitlement>>;

/// Who is let in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// File with the secret of HS256.
    pub secret: Option<PathBuf>,
    /// File with a public key of Ed25519 or RSA.
    pub public_key: Option<PathBuf>,
    /// A set of public keys.
    pub jwks: Option<Place>,
    /// How often that is fetched.
    pub jwks_every: Duration,
    /// Whose tokens are taken.
    pub rules: Rules,
    /// File with API keys.
    pub api_keys: Option<PathBuf>,
    /// File with what was taken back.
    pub revocations: Option<PathBuf>,
    /// What roles may see.
    pub roles: Roles,
    /// What who presents nothing may see; `None`: nothing.
    pub anonymous: Option<Arc<Entitlement>>,
    /// How long a token lives that is given for an API key.
    pub lifetime: Duration,
    /// How long before the end of a token its connection is told.
    pub notice: Duration,
    /// How many connections a subject may have.
    pub bound: Bound,
}

/// Somebody who is let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The name; `None`: nobody in particular.
    pub subject: Option<String>,
    /// What may be seen.
    pub entitlement: Arc<Entitlement>,
    /// What says so.
    pub granted: Granted,
    /// When the token is over.
    pub expires: Option<Timestamp>,
    /// The token's number.
    pub token_id: Option<String>,
    /// The name of the API key, of who has presented it and of who has a token for it.
    pub api_key: Option<String>,
    /// That API key as it was when it was presented.
    key: Option<ApiKey>,
    /// The key of the token.
    signed_by: Option<SignedBy>,
}

/// What a token stands on beside its claims.
#[derive(Clone, Debug, PartialEq, Eq)]
struct SignedBy {
    /// The key that has verified it.
    key: Fingerprint,
    /// Of the API key that it was given for, as that was then.
    api_key_mark: Option<String>,
}

/// What says what somebody may see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Granted {
    /// The role of those who present nothing, or its absence where nobody is asked.
    Anonymous,
    /// A role of that name.
    Role(String),
    /// The token itself.
    Token,
}

/// Why it cannot be known who is let in. Never shows a secret.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// A file cannot be read.
    #[error("cannot read {}: {cause}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why, as the message says already.
        cause: io::Error,
    },
    /// A file is larger than any of its kind.
    #[error("{} is longer than {AUTH_FILE_BYTES_MAX} bytes", .0.display())]
    TooLong(PathBuf),
    /// A file does not hold what is asked for.
    #[error("{}: {reason}", path.display())]
    Wrong {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// What is settled at the start.
    #[error(
        "`anonymous`: whether who presents nothing is let in is settled at the start: it changes with a restart"
    )]
    Anonymous,
    /// An API key would have none any more.
    #[error("`roles`: the API key `{name}` has the role `{role}`, which is not among them")]
    Role {
        /// The key's name.
        name: String,
        /// Its role.
        role: String,
    },
    /// https cannot be spoken.
    #[error("the JWKS cannot be fetched: {0}")]
    Tls(String),
    /// The thread that follows the files cannot be started.
    #[error("cannot start a thread: {0}")]
    Thread(#[source] io::Error),
}

/// Who is let in, for all shards. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Auth(Option<Arc<Inner>>);

#[derive(Debug)]
struct Inner {
    settings: Settings,
    clock: Clock,
    current: RwLock<Current>,
    fetches: Arc<Fetches>,
    seats: Seats,
}

#[derive(Debug)]
struct Current {
    known: Arc<Known>,
    /// Grows with each change.
    generation: u64,
}

/// What the files and the JWKS say. Each part is shared by those that follow it unchanged.
#[derive(Clone, Debug, Default)]
struct Known {
    secret: Option<Arc<(Key, SigningKey)>>,
    public_key: Option<Arc<Key>>,
    jwks: Arc<Vec<Key>>,
    api_keys: Arc<ApiKeys>,
    revocations: Arc<Revocations>,
    roles: Arc<Roles>,
    anonymous: Option<Arc<Entitlement>>,
}

/// The files, by what they hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holds {
    Secret,
    PublicKey,
    Jwks,
    ApiKeys,
    Revocations,
}

impl Settings {
    /// Whether anybody is asked who it is.
    #[must_use]
    pub const fn is_everybody(&self) -> bool {
        let is_any = self.secret.is_none() && self.public_key.is_none() && self.jwks.is_none();
        is_any && self.api_keys.is_none() && self.anonymous.is_none()
    }

    /// Reads all files, and says what is wrong with each.
    #[must_use]
    pub fn problems(&self) -> Vec<AuthError> {
        let mut known = Known { roles: Arc::new(self.roles.clone()), ..Known::default() };
        let read = self.files().into_iter().map(|(holds, path)| known.load(holds, &path));
        read.filter_map(Result::err).collect()
    }

    fn files(&self) -> Vec<(Holds, PathBuf)> {
        let jwks = match &self.jwks {
            Some(Place::File(path)) => Some(path),
            Some(Place::Url(_)) | None => None,
        };
        let files = [
            (Holds::Secret, self.secret.as_ref()),
            (Holds::PublicKey, self.public_key.as_ref()),
            (Holds::Jwks, jwks),
            (Holds::ApiKeys, self.api_keys.as_ref()),
            (Holds::Revocations, self.revocations.as_ref()),
        ];
        files.into_iter().filter_map(|(holds, path)| Some((holds, path?.clone()))).collect()
    }
}

impl Auth {
    /// Lets everybody see everything.
    #[must_use]
    pub const fn everybody() -> Self {
        Self(None)
    }

    /// Reads what says who is let in, and follows it until the last clone is dropped.
    ///
    /// # Errors
    /// [`AuthError`] names the file. A JWKS that cannot be fetched now is none: it is asked for again.
    pub fn open(settings: &Settings, clock: Clock, metrics: &Metrics) -> Result<Self, AuthError> {
        if settings.is_everybody() {
            return Ok(Self::everybody());
        }
        let files: Vec<_> =
            settings.files().into_iter().map(|(holds, path)| follow::File::new(holds, path)).collect();
        let mut known = Known {
            roles: Arc::new(settings.roles.clone()),
            anonymous: settings.anonymous.clone(),
            ..Known::default()
        };
        for (holds, path) in settings.files() {
            known.load(holds, &path)?;
        }
        let inner = Arc::new(Inner {
            settings: settings.clone(),
            clock,
            current: RwLock::new(Current { known: Arc::new(known), generation: 1 }),
            fetches: Arc::default(),
            seats: Seats::default(),
        });
        follow::start(&inner, files, metrics)?;
        Ok(Self(Some(inner)))
    }

    /// Whether anybody is asked who it is.
    #[must_use]
    pub const fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Whether nobody can be let in yet: keys come from a URL alone, and none has come.
    #[must_use]
    pub fn waits_for_keys(&self) -> bool {
        let Some(inner) = &self.0 else { return false };
        let known = inner.known();
        known.anonymous.is_none() && inner.settings.api_keys.is_none() && known.keys().next().is_none()
    }

    /// Who presents nothing, if that is let in.
    #[must_use]
    pub fn anonymous(&self) -> Option<Arc<Identity>> {
        let entitlement = match &self.0 {
            None => Arc::new(Entitlement::everything()),
            Some(inner) => inner.known().anonymous.clone()?,
        };
        let identity = Identity {
            subject: None,
            entitlement,
            granted: Granted::Anonymous,
            expires: None,
            token_id: None,
            api_key: None,
            key: None,
            signed_by: None,
        };
        Some(Arc::new(identity))
    }

    /// Who presents this. A token of a key that is not known yet may wait for the JWKS to be fetched anew.
    ///
    /// # Errors
    /// Why it is not let in.
    pub async fn identify(&self, credential: &Secret) -> Result<Arc<Identity>, AuthRefusal> {
        match (self.verify(credential), &self.0) {
            (Err(AuthRefusal::UnknownKey), Some(inner)) if inner.fetches.anew().await => {
                self.verify(credential)
            }
            (verified, _) => verified,
        }
        .map(Arc::new)
    }

    /// The same with the keys that are known now.
    ///
    /// # Errors
    /// Why it is not let in.
    pub fn verify(&self, credential: &Secret) -> Result<Identity, AuthRefusal> {
        let Some(inner) = &self.0 else { return Err(AuthRefusal::Malformed) };
        let known = inner.known();
        let identity = if credential.expose().starts_with(api_key::PREFIX) {
            let key = known.api_keys.find(credential).ok_or(AuthRefusal::ApiKey)?;
            let entitlement = known.roles.get(&key.role).ok_or(AuthRefusal::Claims)?;
            Identity {
                subject: Some(key.name.clone()),
                entitlement: Arc::clone(entitlement),
                granted: Granted::Role(key.role.clone()),
                expires: None,
                token_id: None,
                api_key: Some(key.name.clone()),
                key: Some(key.clone()),
                signed_by: None,
            }
        } else {
            let has_url = matches!(inner.settings.jwks, Some(Place::Url(_)));
            let verified =
                jwt::verify(credential, known.keys(), has_url, &inner.settings.rules, inner.clock.now())?;
            known.identity(verified)?
        };
        if known.revoke(&identity) { Err(AuthRefusal::Revoked) } else { Ok(identity) }
    }

    /// A token for who presents an API key, and how long it lives. `None`: there is no secret to sign it with.
    ///
    /// # Errors
    /// Why there is none for this one.
    pub fn exchange(&self, credential: &Secret) -> Result<Option<(Secret, Duration)>, AuthRefusal> {
        let identity = self.verify(credential)?;
        let (Some(inner), Some(key)) = (&self.0, identity.key) else { return Err(AuthRefusal::ApiKey) };
        let Some(secret) = &inner.known().secret else { return Ok(None) };
        let now = u64::try_from(inner.clock.now().0).unwrap_or(0) / 1_000_000_000;
        let Settings { rules, lifetime, .. } = &inner.settings;
        let claims = Claims {
            iss: rules.issuer.clone(),
            aud: rules.audience.clone().map(jwt::Audience::One),
            exp: now.saturating_add(lifetime.as_secs()),
            nbf: None,
            iat: Some(now),
            jti: Some(new_id()),
            api_key_mark: Some(key.mark()),
            role: Some(key.role),
            entitlement: None,
            sub: key.name.clone(),
            api_key: Some(key.name),
        };
        secret.1.sign(&claims).map(|token| Some((token, *lifetime))).map_err(|_| AuthRefusal::Claims)
    }

    fn generation(&self) -> u64 {
        self.0
            .as_ref()
            .map_or(0, |inner| inner.current.read().unwrap_or_else(PoisonError::into_inner).generation)
    }

    /// What somebody who was let in may see now, if it is something else than before.
    ///
    /// # Errors
    /// [`AuthRefusal::Revoked`]: nothing any more.
    fn look_again(&self, identity: &Identity) -> Result<Option<Arc<Entitlement>>, AuthRefusal> {
        let Some(inner) = &self.0 else { return Ok(None) };
        let known = inner.known();
        if known.revoke(identity) {
            return Err(AuthRefusal::Revoked);
        }
        let now = match &identity.granted {
            Granted::Anonymous => known.anonymous.as_ref(),
            Granted::Role(name) => known.roles.get(name),
            Granted::Token => return Ok(None),
        };
        let now = now.ok_or(AuthRefusal::Revoked)?;
        Ok((**now != *identity.entitlement).then(|| Arc::clone(now)))
    }

    /// Takes other roles from now on, for those too who have been let in.
    ///
    /// # Errors
    /// [`AuthError::Anonymous`] or [`AuthError::Role`]; all stays as it was.
    pub fn replace_roles(&self, settings: &Settings) -> Result<(), AuthError> {
        let known = self.0.as_ref().map(|inner| inner.known());
        let lets_in = known.as_ref().is_some_and(|known| known.anonymous.is_some());
        if lets_in != settings.anonymous.is_some() {
            return Err(AuthError::Anonymous);
        }
        let (Some(inner), Some(known)) = (&self.0, known) else { return Ok(()) };
        if let Some(key) = known.api_keys.all().find(|key| !settings.roles.contains_key(&key.role)) {
            return Err(AuthError::Role { name: key.name.clone(), role: key.role.clone() });
        }
        if *known.roles != settings.roles || known.anonymous != settings.anonymous {
            inner.change(|known| {
                known.roles = Arc::new(settings.roles.clone());
                known.anonymous.clone_from(&settings.anonymous);
            });
        }
        Ok(())
    }

    /// A seat for a connection of somebody with a name.
    fn seat(&self, identity: &Identity) -> Result<Option<Seat>, AuthRefusal> {
        let (Some(inner), Some(subject)) = (&self.0, &identity.subject) else { return Ok(None) };
        let who = identity
            .api_key
            .as_ref()
            .map_or_else(|| Who::Subject(subject.clone()), |name| Who::ApiKey(name.clone()));
        inner.seats.take(who, inner.settings.bound).map(Some).ok_or(AuthRefusal::Connections)
    }

    fn notice(&self) -> Duration {
        self.0.as_ref().map_or(Duration::ZERO, |inner| inner.settings.notice)
    }
}

/// What somebody is told who is not let in. It says what to do, and nothing that is not known to who made the token.
#[must_use]
pub const fn told(refusal: AuthRefusal) -> &'static str {
    match refusal {
        AuthRefusal::Missing => "say who you are: a token or an API key in `Authorization: Bearer …`",
        AuthRefusal::Timeout => "no `auth` came in time",
        AuthRefusal::Misplaced => {
            "a token belongs in `Authorization: Bearer …`, in an entry `tickwire.token.…` of the subprotocols or in the \
             message `auth`, and in one of them; never in a URL, which is written to logs"
        }
        AuthRefusal::Malformed => "this is neither a token nor an API key",
        AuthRefusal::Algorithm => "the token is not signed by an algorithm that is taken here",
        AuthRefusal::UnknownKey => "the token is signed by a key that is not known here",
        AuthRefusal::Signature => "the token's signature is wrong",
        AuthRefusal::Expired => "the token has expired",
        AuthRefusal::NotYet => "the token is not valid yet",
        AuthRefusal::Issuer => "the token is of an issuer that is not trusted here",
        AuthRefusal::Audience => "the token is not for this server",
        AuthRefusal::Claims => "the token lacks a claim that is needed, or has one that is wrong",
        AuthRefusal::Revoked => "it has been revoked",
        AuthRefusal::ApiKey => "there is no such API key",
        AuthRefusal::Subject => "the token is another's than the one that this connection began with",
        AuthRefusal::Connections => "there are too many connections of the same",
    }
}

/// How a connection is closed that is not let in, or not any longer.
pub(super) const fn close_code(refusal: AuthRefusal) -> CloseCode {
    match refusal {
        AuthRefusal::Timeout => CloseCode::AuthTimeout,
        AuthRefusal::Expired => CloseCode::TokenExpired,
        AuthRefusal::Revoked => CloseCode::EntitlementRevoked,
        AuthRefusal::Connections => CloseCode::ConnectionLimit,
        _ => CloseCode::AuthFailed,
    }
}

/// A number for a token that no other has.
///
/// # Panics
/// When the system has no random bytes to give.
#[must_use]
pub fn new_id() -> String {
    let mut bytes = [0; 12];
    let random = ring::rand::SystemRandom::new();
    ring::rand::SecureRandom::fill(&random, &mut bytes).expect("a system with random bytes");
    data_encoding::BASE64URL_NOPAD.encode(&bytes)
}

impl Known {
    /// Who a token is about.
    fn identity(&self, Verified { claims, key }: Verified) -> Result<Identity, AuthRefusal> {
        let expires = Some(claims.expires());
        let (entitlement, granted) = match (claims.role, claims.entitlement) {
            (Some(role), None) => {
                let entitlement = self.roles.get(&role).map(Arc::clone).ok_or(AuthRefusal::Claims)?;
                (entitlement, Granted::Role(role))
            }
            (None, Some(entitlement)) => (Arc::new(entitlement), Granted::Token),
            // Which of the two counts is not guessed, nor what somebody may see of whom nothing is said.
            _ => return Err(AuthRefusal::Claims),
        };
        if claims.api_key.as_ref().is_some_and(|name| name.len() > IDENTITY_BYTES_MAX) {
            return Err(AuthRefusal::Claims);
        }
        Ok(Identity {
            subject: Some(claims.sub),
            entitlement,
            granted,
            expires,
            token_id: claims.jti,
            api_key: claims.api_key,
            key: None,
            signed_by: Some(SignedBy { key, api_key_mark: claims.api_key_mark }),
        })
    }
}

impl Inner {
    fn known(&self) -> Arc<Known> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner).known)
    }

    fn change(&self, change: impl FnOnce(&mut Known)) {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        change(Arc::make_mut(&mut current.known));
        current.generation += 1;
    }
}

impl Known {
    fn keys(&self) -> impl Iterator<Item = &Key> + Clone {
        let secret = self.secret.iter().map(|secret| &secret.0);
        secret.chain(self.public_key.iter().map(AsRef::as_ref)).chain(self.jwks.iter())
    }

    fn load(&mut self, holds: Holds, path: &Path) -> Result<(), AuthError> {
        let bytes = read(path)?;
        let wrong = |reason: String| AuthError::Wrong { path: path.to_owned(), reason };
        let text = || str::from_utf8(&bytes).map_err(|_| wrong("it is not UTF-8".to_owned()));
        match holds {
            Holds::Secret => {
                let of = |error: jwt::KeyError| wrong(error.to_string());
                let pair = (Key::secret(&bytes).map_err(of)?, SigningKey::secret(&bytes).map_err(of)?);
                self.secret = Some(Arc::new(pair));
            }
            Holds::PublicKey => {
                let key = Key::public(&bytes).map_err(|error| wrong(error.to_string()))?;
                self.public_key = Some(Arc::new(key));
            }
            Holds::Jwks => {
                self.jwks = Arc::new(jwks::read(&bytes).map_err(|error| wrong(error.to_string()))?);
            }
            Holds::ApiKeys => {
                let keys = ApiKeys::read(text()?, &self.roles).map_err(|error| wrong(error.to_string()))?;
                self.api_keys = Arc::new(keys);
            }
            Holds::Revocations => {
                let revocations = Revocations::read(text()?).map_err(|error| wrong(error.to_string()))?;
                self.revocations = Arc::new(revocations);
            }
        }
        Ok(())
    }

    /// Whether somebody who was let in is not any longer: named by the revocations, or by an API key that has gone from its
    /// file, or has another hash or role in it, or by a token whose key is not among those that sign any more.
    fn revoke(&self, identity: &Identity) -> bool {
        let signed_by = identity.signed_by.as_ref();
        self.revocations.contain(identity)
            || signed_by.is_some_and(|by| self.keys().all(|key| key.fingerprint() != by.key))
            || identity.api_key.as_ref().is_some_and(|name| match self.api_keys.named(name) {
                Some(now) => {
                    let mark = signed_by.and_then(|by| by.api_key_mark.as_ref());
                    identity.key.as_ref().is_some_and(|then| then != now)
                        || mark.is_some_and(|then| *then != now.mark())
                }
                None => true,
            })
    }
}

/// Reads a file that may hold a secret.
///
/// # Errors
/// [`AuthError`] names the file.
pub fn read(path: &Path) -> Result<zeroize::Zeroizing<Vec<u8>>, AuthError> {
    let wrong = |cause| AuthError::Read { path: path.to_owned(), cause };
    if std::fs::metadata(path).map_err(wrong)?.len() > AUTH_FILE_BYTES_MAX {
        return Err(AuthError::TooLong(path.to_owned()));
    }
    std::fs::read(path).map(zeroize::Zeroizing::new).map_err(wrong)
}
