//! Which instruments a server has.

use std::collections::BTreeSet;

use tokio::time::timeout;

use super::LoadError;
use crate::client::{Client, ClientError, ClientSettings, Event, Token};
use crate::limits::{LOAD_CONNECT_WAIT, LOAD_READY_WAIT};
use crate::topic::Channel;
use crate::wire::Symbols;

/// The names of all instruments, sorted: one client follows the quietest channel of all that there are, until it has
/// the snapshot of each.
pub(super) async fn instruments(url: &str, token: Option<Token>) -> Result<Vec<String>, LoadError> {
    let failed = |reason: String| LoadError::Instruments { url: url.to_owned(), reason };
    let names = timeout(LOAD_READY_WAIT, scout(url, token, &failed));
    names.await.map_err(|_elapsed| failed(format!("not within {LOAD_READY_WAIT:?}")))?
}

async fn scout(
    url: &str,
    token: Option<Token>,
    failed: &impl Fn(String) -> LoadError,
) -> Result<Vec<String>, LoadError> {
    let settings = ClientSettings { connect_timeout: LOAD_CONNECT_WAIT, token, ..ClientSettings::default() };
    let mut client = Client::connect(url, settings).await?;
    client.subscribe(Channel::Status, Symbols::All);
    let mut names = BTreeSet::new();
    let mut wanted = 0;
    let mut is_answered = false;
    while !is_answered || names.len() < wanted {
        match client.next().await {
            Ok(Event::Subscribed { granted, more, .. }) => {
                wanted += granted;
                is_answered = !more;
            }
            Ok(Event::State(update)) => {
                names.insert(update.symbol.as_str().to_owned());
            }
            Ok(Event::Failed { code, message, .. }) => return Err(failed(format!("{code}: {message}"))),
            Ok(Event::Disconnected(why)) => return Err(failed(why.to_string())),
            Ok(_) => {}
            Err(error @ ClientError::Closed { .. }) => return Err(failed(error.to_string())),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(names.into_iter().collect())
}
