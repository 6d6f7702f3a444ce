//! The parameters of a request: those that the route has, each at most once.

use axum::extract::{FromRequestParts, Query};
use axum::http::Uri;
use axum::http::request::Parts;

use super::refusal::{Refusal, shortened};

/// All that stands behind the `?`, as name and value.
pub(in crate::server) struct Parameters(Vec<(String, String)>);

impl<S: Sync> FromRequestParts<S> for Parameters {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        Self::of(&parts.uri)
    }
}

impl Parameters {
    /// Reads them.
    ///
    /// # Errors
    /// What stands there is none.
    pub(in crate::server) fn of(uri: &Uri) -> Result<Self, Refusal> {
        let Query(pairs) = Query::try_from_uri(uri).map_err(|_| {
            Refusal::bad_request("the query is not of the form name=value&name=value".to_owned())
        })?;
        Ok(Self(pairs))
    }

    /// The values of these parameters, `None` where one is not given.
    ///
    /// # Errors
    /// A parameter of another name, or one that is given twice.
    pub(in crate::server) fn take<const N: usize>(
        self,
        names: [&str; N],
    ) -> Result<[Option<String>; N], Refusal> {
        let mut values = [const { None }; N];
        for (name, value) in self.0 {
            let Some(index) = names.iter().position(|known| *known == name) else {
                let (name, known) = (shortened(&name), names.join("`, `"));
                let message = format!("there is no parameter `{name}` here: allowed are `{known}`");
                return Err(Refusal::bad_request(message));
            };
            if values[index].replace(value).is_some() {
                return Err(Refusal::bad_request(format!("the parameter `{name}` is given twice")));
            }
        }
        Ok(values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(pairs: &[(&str, &str)]) -> Result<[Option<String>; 2], String> {
        let pairs = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Parameters(pairs).take(["interval", "limit"]).map_err(|refusal| refusal.message)
    }

    #[test]
    fn each_at_most_once_and_none_but_those() {
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(take(&[]), Ok([None, None]));
        assert_eq!(take(&[("limit", "5")]), Ok([None, text("5")]));
        assert_eq!(take(&[("limit", ""), ("interval", "1s")]), Ok([text("1s"), text("")]));
        assert_eq!(
            take(&[("limit", "5"), ("limit", "5")]),
            Err("the parameter `limit` is given twice".to_owned())
        );
        assert_eq!(
            take(&[("Limit", "5")]),
            Err("there is no parameter `Limit` here: allowed are `interval`, `limit`".to_owned())
        );
    }
}
