//! What a connection may see changes while it is open.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Session;
use crate::bus::Wanted;
use crate::directory::Class;
use crate::entitlement::Entitlement;
use crate::fanout::{Subscribe, SubscribeKind};
use crate::limits::SUBSCRIBE_PART_TOPICS;
use crate::topic::{Channel, Rate, TopicId};
use crate::wire::code::CloseCode;
use crate::wire::message;

impl Session {
    /// From now on the client may see this and no more. What it follows and may not any longer is ended; what it may see
    /// only late, only at once, or only at a slower rate, is granted anew as that, with its state. It is told which is
    /// which, and after it is told nothing comes that it may not see.
    ///
    /// Not while a request is being answered: both are for the session's own task to do, one after the other.
    pub(super) async fn entitle(&mut self, entitlement: Arc<Entitlement>) {
        if *self.entitlement == *entitlement {
            return;
        }
        self.entitlement = entitlement;
        let (mut removed, mut moved) = (Vec::new(), Vec::new());
        for topic in self.hub.followed_topics(self.connection) {
            match self.view().instead_of(topic) {
                Ok(same) if same == topic => continue,
                Ok(other) => moved.push(other),
                Err(_) => removed.push(topic),
            }
            self.hub.unsubscribe(self.connection, topic);
        }
        if self.announce(&removed, &moved).await {
            self.follow(moved).await;
        }
    }

    /// Tells the client what is ended and what is granted anew, in parts; `false`: the connection is at its end.
    pub(super) async fn announce(&mut self, removed: &[TopicId], moved: &[TopicId]) -> bool {
        let rows = removed.len() + moved.len();
        let mut begin = 0;
        loop {
            let end = rows.min(begin + SUBSCRIBE_PART_TOPICS);
            let split = |index: usize| (index.min(removed.len()), index.saturating_sub(removed.len()));
            let ((removed_begin, moved_begin), (removed_end, moved_end)) = (split(begin), split(end));
            let directory = self.hub.directory();
            let named = |&topic: &TopicId| (topic, directory.get(topic.symbol()).symbol.as_str());
            let mut out = Vec::new();
            message::system_entitlement(
                &mut out,
                self.entitlement.class() == Class::Delayed,
                removed[removed_begin..removed_end].iter().map(named),
                moved[moved_begin..moved_end].iter().map(named),
                end < rows,
            );
            self.tell(&out);
            begin = end;
            if begin == rows {
                return true;
            }
            // What is told wakes nobody when it has been sent.
            let is_busy =
                |session: &Self| !session.hub.keeps_up(session.connection) || session.socket.has_waiting();
            if !self.wait_while(is_busy).await {
                return false;
            }
        }
    }

    /// Follows topics from their states on, as if the client had asked for them.
    async fn follow(&mut self, topics: Vec<TopicId>) {
        let mut by_channel = BTreeMap::<(Channel, Rate), Vec<TopicId>>::new();
        for topic in topics {
            by_channel.entry((topic.channel(), topic.rate())).or_default().push(topic);
        }
        for ((channel, rate), topics) in by_channel {
            for part in topics.chunks(SUBSCRIBE_PART_TOPICS) {
                if !self.wait_while(|session| !session.hub.keeps_up(session.connection)).await {
                    return;
                }
                let subscribe = Subscribe {
                    req_id: None,
                    channel,
                    rate,
                    snapshot: true,
                    topics: part.iter().map(|&topic| Wanted { topic, held: None }).collect(),
                    rejected: Vec::new(),
                    kind: SubscribeKind::Last,
                };
                if !self.ask(subscribe, "subscribe", None).await {
                    // It would have to guess what it follows.
                    self.socket.close(CloseCode::TryAgainLater, CloseCode::TryAgainLater.reason());
                    return;
                }
                if !self.is_drained().await {
                    return;
                }
            }
        }
    }
}
