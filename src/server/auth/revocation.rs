//! What was taken back before its time: a file with a line each, `token ID`, `subject NAME` or `key NAME`.

use std::collections::BTreeSet;

use super::Identity;

/// All that was taken back.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Revocations {
    tokens: BTreeSet<String>,
    subjects: BTreeSet<String>,
    keys: BTreeSet<String>,
}

/// A line that is not understood. What may have been meant is not guessed at: all of the file is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "line {0} is neither `token ID`, `subject NAME`, `key NAME`, nor a comment: that has a line of its own, which begins with #"
)]
pub struct RevocationsError(usize);

impl Revocations {
    /// Reads the file.
    ///
    /// # Errors
    /// [`RevocationsError`] has the line's number.
    pub fn read(text: &str) -> Result<Self, RevocationsError> {
        let mut revocations = Self::default();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let wrong = RevocationsError(index + 1);
            let (kind, name) = line.split_once(char::is_whitespace).ok_or(wrong)?;
            let name = name.trim_start();
            // What looks like a comment behind a name would be taken for a part of it, and take back nothing.
            if name.split_whitespace().any(|word| word.starts_with('#')) {
                return Err(wrong);
            }
            let names = match kind {
                "token" => &mut revocations.tokens,
                "subject" => &mut revocations.subjects,
                "key" => &mut revocations.keys,
                _ => return Err(wrong),
            };
            names.insert(name.to_owned());
        }
        Ok(revocations)
    }

    /// Whether somebody's token, name or API key is among them.
    #[must_use]
    pub fn contain(&self, identity: &Identity) -> bool {
        let has =
            |names: &BTreeSet<String>, name: Option<&String>| name.is_some_and(|name| names.contains(name));
        has(&self.tokens, identity.token_id.as_ref())
            || has(&self.subjects, identity.subject.as_ref())
            || has(&self.keys, identity.api_key.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::Granted;
    use super::*;
    use crate::entitlement::Entitlement;

    #[test]
    fn each_kind_takes_back_its_own() {
        let file = "# why\n\n token  7\nsubject anna b\r\nkey\tci\n";
        let revoked = Revocations::read(file).expect("well written");
        let who = |subject: &str, token: Option<&str>, key: Option<&str>| Identity {
            subject: Some(subject.to_owned()),
            token_id: token.map(str::to_owned),
            api_key: key.map(str::to_owned),
            expires: None,
            entitlement: Arc::new(Entitlement::everything()),
            granted: Granted::Token,
            key: None,
            signed_by: None,
        };
        for (identity, is_revoked) in [
            (who("ben", Some("7"), None), true),
            (who("anna b", None, None), true),
            (who("ben", None, Some("ci")), true),
            (who("ben", Some("77"), Some("cd")), false),
            (who("7", Some("ci"), Some("anna b")), false),
            (who("anna", None, None), false),
        ] {
            assert_eq!(revoked.contain(&identity), is_revoked, "{identity:?}");
        }
        assert_eq!(Revocations::read(""), Ok(Revocations::default()));
        for (file, line) in [
            ("token", 1),
            ("token 7\njti 8", 2),
            ("#\n\n7", 3),
            ("subject anna\nsubject ben  # gone", 2),
            ("key #", 1),
        ] {
            assert_eq!(Revocations::read(file), Err(RevocationsError(line)));
        }
    }
}
