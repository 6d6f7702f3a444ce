//! `permessage-deflate` towards clients: each message is compressed once, whoever gets it.
//!
//! A cohort of several has a *stream* of its own, in which messages refer to those before. A member enters it at a *key
//! frame*, from which on nothing refers to what came before it, and which is made at most once in [`KEY_FRAME_EVERY`],
//! when somebody waits for one. Until then it gets the same messages plain. What one member alone is sent is plain too,
//! so that its window stays that of the others.
//!
//! Whoever is alone in its cohort, or asked for messages that refer to none before, gets those compressed that are long
//! enough to be worth it, each by itself. All of these of a shard share a compressor: one takes about a thousand times
//! the memory of a connection.

use std::time::Instant;

use super::assembly::Assembled;
use super::cohort::{Cohort, Deflate};
use super::shard::{Connection, Outgoing};
use crate::limits::{COMPRESS_BYTES_MIN, KEY_FRAME_EVERY, STREAMS_PER_SHARD_MAX};
use crate::ws::deflate::{Deflater, WINDOW_BITS_MAX};
use crate::ws::frame::{HEADER_BYTES_MAX, Header, Opcode};

/// The compressors of a shard.
#[derive(Default)]
pub(super) struct Compression {
    /// For messages that refer to none before them, by bits of the window.
    alone: [Option<Box<Deflater>>; WINDOW_BITS_MAX as usize + 1],
    /// How many streams there are.
    streams: usize,
    /// How often one of them began anew.
    key_frames: u64,
    /// The frame that was compressed last.
    frame: Vec<u8>,
}

/// The compressed messages of a cohort, which refer to those before.
pub(super) struct Stream {
    deflater: Deflater,
    key_frame_at: Option<Instant>,
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stream").field("key_frame_at", &self.key_frame_at).finish_non_exhaustive()
    }
}

impl Compression {
    /// Hands out the frames of a message, each with the members of the cohort that are to get it.
    pub(super) fn frames(
        &mut self,
        cohort: &mut Cohort,
        message: &Assembled<'_>,
        now: Instant,
        mut send: impl FnMut(&[Connection], Outgoing<'_>),
    ) {
        // Binary records have nothing to compress.
        let Some(deflate) = cohort.form.deflate.filter(|_| message.opcode == Opcode::Text) else {
            return send(&cohort.members, Outgoing::plain(message.frame));
        };
        if self.has_stream(cohort, deflate) {
            let Cohort { stream: Some(stream), members, synced, .. } = cohort else { return };
            let is_due = stream.key_frame_at.is_none_or(|at| now.duration_since(at) >= KEY_FRAME_EVERY);
            if *synced == 0 || (*synced < members.len() && is_due) {
                stream.deflater.restart();
                stream.key_frame_at = Some(now);
                self.key_frames += 1;
                *synced = members.len();
            }
            compress(&mut stream.deflater, message, &mut self.frame);
            let (synced, waiting) = members.split_at(*synced);
            send(synced, Outgoing { bytes: &self.frame, inflated: Some(message.payload) });
            if !waiting.is_empty() {
                send(waiting, Outgoing::plain(message.frame));
            }
        } else if message.payload.len() >= COMPRESS_BYTES_MIN {
            let deflater = self.alone[usize::from(deflate.window_bits)]
                .get_or_insert_with(|| Box::new(Deflater::new(deflate.window_bits)));
            deflater.restart();
            compress(deflater, message, &mut self.frame);
            send(&cohort.members, Outgoing { bytes: &self.frame, inflated: Some(message.payload) });
        } else {
            send(&cohort.members, Outgoing::plain(message.frame));
        }
    }

    /// How many streams there are.
    pub(super) const fn streams(&self) -> usize {
        self.streams
    }

    /// How often a stream has begun anew.
    pub(super) const fn key_frames(&self) -> u64 {
        self.key_frames
    }

    /// A stream is over.
    pub(super) fn end(&mut self, stream: Option<Box<Stream>>) {
        self.streams -= usize::from(stream.is_some());
    }

    /// Whether a cohort has a stream: begun when there are several members, ended when there is one.
    fn has_stream(&mut self, cohort: &mut Cohort, deflate: Deflate) -> bool {
        if cohort.is_lone() {
            cohort.synced = 0;
            self.end(cohort.stream.take());
        } else if cohort.stream.is_none() && deflate.context && self.streams < STREAMS_PER_SHARD_MAX {
            self.streams += 1;
            let deflater = Deflater::new(deflate.window_bits);
            cohort.stream = Some(Box::new(Stream { deflater, key_frame_at: None }));
            cohort.synced = 0;
        }
        cohort.stream.is_some()
    }
}

/// Makes `frame` the message's, compressed.
fn compress(deflater: &mut Deflater, message: &Assembled<'_>, frame: &mut Vec<u8>) {
    // Its length is known when it is there: the header goes before it, and what room it leaves is cut off.
    frame.clear();
    frame.resize(HEADER_BYTES_MAX, 0);
    deflater.compress(message.payload, frame);
    let header = Header::new(message.opcode, true, frame.len() - HEADER_BYTES_MAX);
    let start = HEADER_BYTES_MAX - header.as_bytes().len();
    frame[start..HEADER_BYTES_MAX].copy_from_slice(header.as_bytes());
    frame.drain(..start);
}
