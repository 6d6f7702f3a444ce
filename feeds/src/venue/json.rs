//! JSON messages, parsed in place on reused buffers, and their fields with errors that name them.

use simd_json::prelude::{ValueAsScalar, ValueIntoString};
use simd_json::tape::{Array, Object, Tape, Value};
use simd_json::{Buffers, fill_tape};

use super::{Problem, VenueError};

/// A parser whose memory is kept from message to message: it grows to the largest one.
pub(crate) struct Json {
    buffers: Buffers,
    tape: Tape<'static>,
}

impl Default for Json {
    fn default() -> Self {
        Self { buffers: Buffers::default(), tape: Tape(Vec::new()) }
    }
}

impl Json {
    /// Parses `text`, which serves as scratch and is void afterwards, and hands the value to `read`.
    pub(crate) fn parse<'t, R>(
        &mut self,
        text: &'t mut [u8],
        read: impl FnOnce(Value<'_, 't>) -> Result<R, VenueError>,
    ) -> Result<R, VenueError> {
        let mut tape: Tape<'t> = std::mem::replace(&mut self.tape, Tape(Vec::new())).reset();
        let result = fill_tape(text, &mut self.buffers, &mut tape)
            .map_err(|error| VenueError::new("message", Problem::Json(error.to_string())))
            .and_then(|()| read(tape.as_value()));
        self.tape = tape.reset();
        result
    }
}

/// The text in `field` of `object`.
pub(crate) fn text<'i>(object: &Object<'_, 'i>, field: &'static str) -> Result<&'i str, VenueError> {
    as_text(object.get(field), field)
}

/// The text in `field`, or nothing where the field is missing or something else.
pub(crate) fn text_if_any<'i>(object: &Object<'_, 'i>, field: &str) -> Option<&'i str> {
    object.get(field)?.into_string()
}

/// The natural number in `field` of `object`.
pub(super) fn natural(object: &Object<'_, '_>, field: &'static str) -> Result<u64, VenueError> {
    let value = object.get(field).ok_or_else(|| VenueError::new(field, Problem::Missing))?;
    value.as_u64().ok_or_else(|| VenueError::expected(field, "a natural number"))
}

/// The list in `field` of `object`.
pub(super) fn list<'t, 'i>(
    object: &Object<'t, 'i>,
    field: &'static str,
) -> Result<Array<'t, 'i>, VenueError> {
    let value = object.get(field).ok_or_else(|| VenueError::new(field, Problem::Missing))?;
    as_list(value, field)
}

/// `value` as a list.
pub(super) fn as_list<'t, 'i>(
    value: Value<'t, 'i>,
    field: &'static str,
) -> Result<Array<'t, 'i>, VenueError> {
    value.as_array().ok_or_else(|| VenueError::expected(field, "a list"))
}

/// `value` as an object.
pub(crate) fn as_object<'t, 'i>(
    value: Value<'t, 'i>,
    field: &'static str,
) -> Result<Object<'t, 'i>, VenueError> {
    value.as_object().ok_or_else(|| VenueError::expected(field, "an object"))
}

/// `value` as a text.
pub(super) fn as_text<'i>(value: Option<Value<'_, 'i>>, field: &'static str) -> Result<&'i str, VenueError> {
    let value = value.ok_or_else(|| VenueError::new(field, Problem::Missing))?;
    value.into_string().ok_or_else(|| VenueError::expected(field, "a text"))
}

/// `value` as a boolean, in `field` of `object`.
pub(super) fn truth(object: &Object<'_, '_>, field: &'static str) -> Result<bool, VenueError> {
    let value = object.get(field).ok_or_else(|| VenueError::new(field, Problem::Missing))?;
    value.as_bool().ok_or_else(|| VenueError::expected(field, "true or false"))
}
