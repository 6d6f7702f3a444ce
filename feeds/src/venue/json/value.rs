//! What stands in a text of JSON, as its tokens tell.

use super::scan::{Kind, Token};

/// A text of JSON and its tokens.
#[derive(Debug)]
pub(super) struct Document<'j> {
    pub(super) tokens: &'j [Token],
    pub(super) text: &'j str,
    /// The texts that have escapes, without them.
    pub(super) unescaped: &'j str,
    /// Whether numbers are told as texts, with the digits as sent.
    pub(super) numbers_are_texts: bool,
}

/// A value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Value<'j> {
    document: &'j Document<'j>,
    at: usize,
}

/// A list.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Array<'j>(Value<'j>);

/// An object.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Object<'j>(Value<'j>);

impl<'j> Document<'j> {
    /// The whole text.
    pub(super) const fn root(&'j self) -> Value<'j> {
        Value { document: self, at: 0 }
    }

    fn text_of(&self, token: Token) -> &'j str {
        let start = token.start as usize;
        &self.text_around(token)[start..start + token.extent as usize]
    }

    /// Whether a text is that one. Most differ by their length already, and keys are so short that a loop is faster than a
    /// call.
    #[inline]
    fn is(&self, token: Token, text: &str) -> bool {
        let start = token.start as usize;
        let around = self.text_around(token).as_bytes();
        token.extent as usize == text.len()
            && around.get(start..start + text.len()).is_some_and(|own| own.iter().eq(text.as_bytes()))
    }

    fn text_around(&self, token: Token) -> &'j str {
        if token.kind == Kind::Escaped { self.unescaped } else { self.text }
    }
}

impl<'j> Value<'j> {
    fn token(self) -> Token {
        self.document.tokens[self.at]
    }

    /// The place behind it.
    #[inline]
    fn behind(self) -> usize {
        let token = self.token();
        match token.kind {
            Kind::List | Kind::Object => token.extent as usize,
            _ => self.at + 1,
        }
    }

    /// It, if it is a text; a number as well where numbers are told as texts.
    #[inline]
    pub(crate) fn as_text(self) -> Option<&'j str> {
        let token = self.token();
        match token.kind {
            Kind::Text | Kind::Escaped => Some(self.document.text_of(token)),
            Kind::Number if self.document.numbers_are_texts => Some(self.document.text_of(token)),
            _ => None,
        }
    }

    /// The digits of a number, as sent.
    #[inline]
    pub(crate) fn as_number(self) -> Option<&'j str> {
        let token = self.token();
        (token.kind == Kind::Number).then(|| self.document.text_of(token))
    }

    /// It, if it is `true` or `false`.
    pub(crate) fn as_bool(self) -> Option<bool> {
        match self.token().kind {
            Kind::True => Some(true),
            Kind::False => Some(false),
            _ => None,
        }
    }

    /// Whether it is `null`.
    pub(crate) fn is_null(self) -> bool {
        self.token().kind == Kind::Null
    }

    /// It, if it is a list.
    #[inline]
    pub(crate) fn as_array(self) -> Option<Array<'j>> {
        (self.token().kind == Kind::List).then_some(Array(self))
    }

    /// It, if it is an object.
    #[inline]
    pub(crate) fn as_object(self) -> Option<Object<'j>> {
        (self.token().kind == Kind::Object).then_some(Object(self))
    }
}

impl<'j> Array<'j> {
    /// What is in it.
    #[inline]
    pub(crate) fn iter(&self) -> Values<'j> {
        Values { document: self.0.document, at: self.0.at + 1, end: self.0.behind() }
    }

    /// What stands at a place of it.
    pub(crate) fn get(&self, index: usize) -> Option<Value<'j>> {
        self.iter().nth(index)
    }

    /// How much is in it.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.iter().count()
    }
}

impl<'j> IntoIterator for &Array<'j> {
    type Item = Value<'j>;
    type IntoIter = Values<'j>;

    fn into_iter(self) -> Values<'j> {
        self.iter()
    }
}

impl<'j> Object<'j> {
    /// The value of the first field of that name.
    pub(crate) fn get(&self, field: &str) -> Option<Value<'j>> {
        let document = self.0.document;
        let end = self.0.behind();
        let mut at = self.0.at + 1;
        while at < end {
            let value = Value { document, at: at + 1 };
            if document.is(document.tokens[at], field) {
                return Some(value);
            }
            at = value.behind();
        }
        None
    }

    /// The values of the first fields of these names, in one pass.
    #[inline]
    pub(crate) fn fields<const N: usize>(&self, names: [&str; N]) -> [Option<Value<'j>>; N] {
        let document = self.0.document;
        let mut found = [None; N];
        let mut rest = self.values();
        while let (Some(key), Some(value)) = (rest.next(), rest.next()) {
            let key = key.token();
            if let Some(place) = names.iter().position(|name| document.is(key, name)) {
                found[place].get_or_insert(value);
            }
        }
        found
    }

    /// Its fields and their values.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&'j str, Value<'j>)> + use<'j> {
        let mut rest = self.values();
        std::iter::from_fn(move || Some((rest.next()?.as_text()?, rest.next()?)))
    }

    /// Keys and values in turn.
    #[inline]
    fn values(&self) -> Values<'j> {
        Values { document: self.0.document, at: self.0.at + 1, end: self.0.behind() }
    }
}

/// Values, one after another.
#[derive(Clone, Debug)]
pub(crate) struct Values<'j> {
    document: &'j Document<'j>,
    at: usize,
    end: usize,
}

impl<'j> Iterator for Values<'j> {
    type Item = Value<'j>;

    #[inline]
    fn next(&mut self) -> Option<Value<'j>> {
        if self.at >= self.end {
            return None;
        }
        let value = Value { document: self.document, at: self.at };
        self.at = value.behind();
        Some(value)
    }
}
