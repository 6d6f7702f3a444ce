//! What a cohort has to send as one server-sent event, whose `id` says how far its topics have come with it.
//!
//! The event is one, also where WebSocket messages would be several: its client has all of it or nothing, and so `id` never
//! lies.

use super::assembly::Assembly;
use super::cohort::{CohortId, hash_of};
use super::listeners::Reached;
use super::shard::{Connection, Flushed, Outgoing, Sent, Shard};
use crate::limits::MESSAGE_OUT_BYTES_MAX;
use crate::topic::TopicId;
use crate::wire::cursor;

/// What marks a set of topics in an `id`.
#[must_use]
pub fn mark_of(topics: impl Iterator<Item = TopicId>) -> u64 {
    topics.map(hash_of).fold(0, u64::wrapping_add)
}

impl Shard {
    /// Sends the members of a cohort what there is for them.
    pub(super) fn send_event(
        &mut self,
        id: CohortId,
        mut out: Assembly,
        flushed: &mut Flushed,
        send: &mut impl FnMut(Connection, Outgoing<'_>) -> Sent,
    ) {
        let mut event = std::mem::take(&mut self.event);
        event.clear();
        event.extend_from_slice(b"data: [");
        let updates = out.updates();
        let mut is_first = true;
        out.drain(|message| {
            if !std::mem::take(&mut is_first) {
                event.push(b',');
            }
            // Without the brackets of each.
            event.extend_from_slice(&message.payload[1..message.payload.len() - 1]);
        });
        event.extend_from_slice(b"]\nid: ");
        self.write_id(&mut event, id);
        event.extend_from_slice(b"\n\n");
        self.queue.recycle(out);
        let members = &self.cohorts[id].members;
        let count = members.len() as u64;
        flushed.messages += count;
        flushed.updates += updates * count;
        flushed.bytes += event.len() as u64 * count;
        let outgoing = Outgoing::plain(&event);
        let refused: Vec<Connection> = members
            .iter()
            .copied()
            .filter(|&connection| send(connection, outgoing) == Sent::Refused)
            .collect();
        // The states of very many books leave no memory behind.
        if event.capacity() <= 2 * MESSAGE_OUT_BYTES_MAX {
            self.event = event;
        }
        for connection in refused {
            self.fall_behind(connection);
        }
    }

    /// How far the members have come with what is sent to them now. Whoever catches up is alone, and holds old states yet of
    /// topics that its cohort does not follow again.
    fn write_id(&mut self, out: &mut Vec<u8>, id: CohortId) {
        let (registry, run) = (&self.registry, self.run);
        let seq = |reached: Reached| (reached.run == run).then_some(reached.seq);
        let cohort = &mut self.cohorts[id];
        let mut mark = cohort.hash;
        let lag = match cohort.members[..] {
            [alone] => self.members[alone].lag.as_deref(),
            _ => None,
        };
        let Some(lag) = lag else {
            let held = cohort.ordered().iter().map(|&topic| seq(registry.reached(topic)));
            return cursor::write(out, &self.epoch, mark, held);
        };
        let live = cohort.topics.keys().map(|&topic| (topic, Some(registry.reached(topic))));
        let coming = lag.catching_up.iter().map(|(&topic, coming)| (topic, coming.held));
        let behind: Vec<_> = lag.held.iter().map(|(&topic, &held)| (topic, held)).chain(coming).collect();
        mark = mark.wrapping_add(mark_of(behind.iter().map(|&(topic, _)| topic)));
        let mut held: Vec<_> = live.chain(behind).collect();
        held.sort_unstable_by_key(|&(topic, _)| topic);
        cursor::write(out, &self.epoch, mark, held.into_iter().map(|(_, held)| held.and_then(seq)));
    }
}
