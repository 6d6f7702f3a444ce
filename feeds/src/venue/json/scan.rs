//! JSON cut into tokens, in one pass over the text.

/// A part of a text of JSON: a scalar, the beginning of a list or object, or an object's key, which stands before its
/// value.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token {
    pub(super) kind: Kind,
    /// Where a text (behind its quote) or a number begins.
    pub(super) start: u32,
    /// The length of a text or number; of a list or object, the place of the token after all of its own.
    pub(super) extent: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    /// A text with backslashes, as it stands.
    Escaped,
    Number,
    True,
    False,
    Null,
    List,
    Object,
}

/// Where a text is not JSON, and what should be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Flaw {
    pub(super) at: usize,
    pub(super) expected: &'static str,
}

/// Cuts `text`, which must be shorter than 4 GB. Every list and object takes one token and every scalar and key another:
/// there are no more of them than bytes.
///
/// `NESTED`: the text stands within a text of JSON. There a quote is `\"`, and any other escape is a flaw: it would mean
/// one within a text within the text, or space that is none as it stands. Recorders put messages into their own JSON
/// so, and what does without such escapes need not be copied to be read.
///
/// `any_number`: whatever is made of the signs of numbers is one. What is wrong with it shows when it is read, and then is
/// known to be of a field and an instrument.
pub(super) fn scan<const NESTED: bool>(
    text: &[u8],
    any_number: bool,
    tokens: &mut Vec<Token>,
) -> Result<(), Flaw> {
    tokens.clear();
    let mut at = space::<NESTED>(text, 0);
    // The innermost list or object that is not closed. Until it is, its `extent` is the one around it.
    let mut open = OUTERMOST;
    let mut is_in_object = false;
    loop {
        let Some(&byte) = text.get(at) else { return Err(Flaw { at, expected: "a value" }) };
        match byte {
            b'"' | b'\\' => at = cut_text::<NESTED>(text, at, tokens)?,
            b'-' | b'0'..=b'9' => {
                let end = if any_number { word_of_number(text, at) } else { number(text, at)? };
                tokens.push(Token { kind: Kind::Number, start: small(at), extent: small(end - at) });
                at = end;
            }
            b'{' | b'[' => {
                is_in_object = byte == b'{';
                let kind = if is_in_object { Kind::Object } else { Kind::List };
                tokens.push(Token { kind, start: small(at), extent: open });
                open = small(tokens.len() - 1);
                at = space::<NESTED>(text, at + 1);
                let is_empty = text.get(at) == Some(if is_in_object { &b'}' } else { &b']' });
                if !is_empty {
                    if is_in_object {
                        at = key::<NESTED>(text, at, tokens)?;
                    }
                    continue;
                }
            }
            _ => {
                let words = [(Kind::True, &b"true"[..]), (Kind::False, b"false"), (Kind::Null, b"null")];
                let word = words.into_iter().find(|(_, word)| text[at..].starts_with(word));
                let Some((kind, word)) = word else { return Err(Flaw { at, expected: "a value" }) };
                tokens.push(Token { kind, start: small(at), extent: 0 });
                at += word.len();
            }
        }
        // Behind a value, or before the end of an empty list or object.
        loop {
            at = space::<NESTED>(text, at);
            if open == OUTERMOST {
                let is_end = at == text.len();
                return if is_end { Ok(()) } else { Err(Flaw { at, expected: "the end" }) };
            }
            match text.get(at) {
                Some(b',') => {
                    at = space::<NESTED>(text, at + 1);
                    if is_in_object {
                        at = key::<NESTED>(text, at, tokens)?;
                    }
                    break;
                }
                Some(b'}') if is_in_object => {}
                Some(b']') if !is_in_object => {}
                _ if is_in_object => return Err(Flaw { at, expected: "`,` or `}`" }),
                _ => return Err(Flaw { at, expected: "`,` or `]`" }),
            }
            at += 1;
            let end = small(tokens.len());
            open = std::mem::replace(&mut tokens[open as usize].extent, end);
            is_in_object = tokens.get(open as usize).is_some_and(|around| around.kind == Kind::Object);
        }
    }
}

/// No list or object is open.
const OUTERMOST: u32 = u32::MAX;

/// Cuts a key and its colon. Returns where the value begins.
#[inline(always)]
fn key<const NESTED: bool>(text: &[u8], at: usize, tokens: &mut Vec<Token>) -> Result<usize, Flaw> {
    let at = cut_text::<NESTED>(text, at, tokens)?;
    let at = space::<NESTED>(text, at);
    match text.get(at) {
        Some(b':') => Ok(space::<NESTED>(text, at + 1)),
        _ => Err(Flaw { at, expected: "`:`" }),
    }
}

/// Cuts a text. Returns where it ends.
#[inline(always)]
fn cut_text<const NESTED: bool>(text: &[u8], at: usize, tokens: &mut Vec<Token>) -> Result<usize, Flaw> {
    if NESTED {
        if !is_nested_quote(text, at) {
            return Err(Flaw { at, expected: "a quote" });
        }
        let start = at + 2;
        let end = plain_until(text, start);
        if !is_nested_quote(text, end) {
            return Err(Flaw { at: end, expected: "the end of a text without escapes" });
        }
        tokens.push(Token { kind: Kind::Text, start: small(start), extent: small(end - start) });
        return Ok(end + 2);
    }
    if text.get(at) != Some(&b'"') {
        return Err(Flaw { at, expected: "a quote" });
    }
    let start = at + 1;
    let mut kind = Kind::Text;
    let mut end = plain_until(text, start);
    while text.get(end) == Some(&b'\\') {
        kind = Kind::Escaped;
        // Whatever is escaped is part of the text.
        end = plain_until(text, end + 2);
    }
    if text.get(end) != Some(&b'"') {
        return Err(Flaw { at: end.min(text.len()), expected: "the end of a text" });
    }
    tokens.push(Token { kind, start: small(start), extent: small(end - start) });
    Ok(end + 1)
}

#[inline(always)]
fn is_nested_quote(text: &[u8], at: usize) -> bool {
    text.get(at..).is_some_and(|rest| rest.starts_with(b"\\\""))
}

/// Where from `at` on the first quote, backslash or control character stands; the end, where none does.
///
/// Eight bytes at a time: texts are prices, names and times, which are two or three such steps long. Worst case: seven
/// single steps at the end of the message.
#[inline(always)]
pub(super) fn plain_until(text: &[u8], mut at: usize) -> usize {
    while let Some(chunk) = text.get(at..).and_then(<[u8]>::first_chunk) {
        let stops = stops(u64::from_le_bytes(*chunk));
        if stops != 0 {
            return at + (stops.trailing_zeros() / 8) as usize;
        }
        at += size_of::<u64>();
    }
    while text.get(at).is_some_and(|byte| !matches!(byte, b'"' | b'\\' | 0..0x20)) {
        at += 1;
    }
    at
}

/// Sets the highest bit of the first of eight bytes that is a quote, a backslash or a control character, and maybe of
/// some behind it.
const fn stops(bytes: u64) -> u64 {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    // A byte that is zero borrows from the bit above, and so does one below 0x20 when that is taken off it.
    let quote = bytes ^ (ONES * b'"' as u64);
    let backslash = bytes ^ (ONES * b'\\' as u64);
    ((quote.wrapping_sub(ONES) & !quote)
        | (backslash.wrapping_sub(ONES) & !backslash)
        | (bytes.wrapping_sub(ONES * 0x20) & !bytes))
        & (ONES * 0x80)
}

/// Where a number ends that begins here.
#[inline(always)]
fn number(text: &[u8], at: usize) -> Result<usize, Flaw> {
    let digits = |mut at: usize| {
        let first = at;
        while text.get(at).is_some_and(u8::is_ascii_digit) {
            at += 1;
        }
        if at > first { Ok(at) } else { Err(Flaw { at, expected: "a digit" }) }
    };
    let first = at + usize::from(text[at] == b'-');
    let mut end = digits(first)?;
    if text[first] == b'0' && end > first + 1 {
        return Err(Flaw { at: first, expected: "a number without leading zeros" });
    }
    if text.get(end) == Some(&b'.') {
        end = digits(end + 1)?;
    }
    if let Some(b'e' | b'E') = text.get(end) {
        let is_signed = matches!(text.get(end + 1), Some(b'+' | b'-'));
        end = digits(end + 1 + usize::from(is_signed))?;
    }
    Ok(end)
}

/// Where what may be a number ends.
fn word_of_number(text: &[u8], mut at: usize) -> usize {
    while let Some(b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E') = text.get(at) {
        at += 1;
    }
    at
}

/// Where the space ends that may stand here.
#[inline(always)]
fn space<const NESTED: bool>(text: &[u8], mut at: usize) -> usize {
    while let Some(&byte) = text.get(at)
        && (byte == b' ' || (!NESTED && matches!(byte, b'\t' | b'\n' | b'\r')))
    {
        at += 1;
    }
    at
}

/// Lengths of what was checked to be shorter than 4 GB.
fn small(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// Appends a text of JSON as it reads without its escapes.
pub(super) fn unescape(escaped: &str, plain: &mut String) -> Result<(), Flaw> {
    let bytes = escaped.as_bytes();
    let unit = |at: usize| {
        let digits = bytes.get(at..at + 4).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))?;
        u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
    };
    let mut at = 0;
    while at < bytes.len() {
        let end = plain_until(bytes, at);
        plain.push_str(&escaped[at..end]);
        let Some(kind) = bytes.get(end + 1) else { break };
        let flaw = Flaw { at: end, expected: "an escape of JSON" };
        at = end + 2;
        plain.push(match kind {
            b'"' | b'\\' | b'/' => char::from(*kind),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let first = unit(at).ok_or(flaw)?;
                at += 4;
                let is_pair = (0xd800..0xdc00).contains(&first);
                let second = if is_pair && bytes[at..].starts_with(b"\\u") { unit(at + 2) } else { None };
                at += if second.is_some() { 6 } else { 0 };
                let mut decoded = char::decode_utf16([first].into_iter().chain(second));
                decoded.next().and_then(Result::ok).ok_or(flaw)?
            }
            _ => return Err(flaw),
        });
    }
    Ok(())
}
