//! What happens to the twins of the instruments: the same as to the originals, only later.

use std::sync::Arc;

use feeds::{MarketEvent, SymbolId, Timestamp};

use super::Publisher;
use crate::bus::Kind;
use crate::directory::Class;
use crate::market::Market;
use crate::market::quotes::CachedQuote;
use crate::state::Status;
use crate::topic::{Channel, TopicId};

impl Publisher {
    /// Like [`Publisher::apply`], of a message that the originals have had before.
    pub fn apply_delayed(&mut self, events: &mut [MarketEvent]) {
        for event in &mut *events {
            event.symbol = self.directory.twin(event.symbol);
        }
        self.take_events(Class::Delayed, events);
    }

    /// Like [`Publisher::advance`].
    pub fn advance_delayed(&mut self, now: Timestamp) {
        self.advance_class(Class::Delayed, now);
    }

    /// Like [`Publisher::set_feed_state`].
    pub fn set_delayed_feed_state(&mut self, state: Option<&Status>) {
        self.set_class_state(Class::Delayed, state);
    }

    /// Like [`Publisher::restart`]. The originals only change the name of their epoch: there is one of a process.
    pub fn restart_delayed(&mut self, epoch: Arc<str>) {
        self.begin_run(Class::Delayed, epoch, None);
    }

    /// The state of the originals, for [`Publisher::continue_delayed`].
    #[must_use]
    pub fn copy_market(&self) -> Market {
        self.markets.real_time().clone()
    }

    /// The twins go on from a state that the originals had, whatever they missed before it: that counts as one change
    /// of each topic, and of trades as a gap.
    pub fn continue_delayed(&mut self, market: Market) {
        self.flush();
        self.markets.set_delayed(market);
        let forgotten = self.forget(Class::Delayed);
        for (symbol, _) in self.directory.clone().of(Class::Delayed) {
            self.continue_numbers(symbol);
            self.count_state(symbol);
        }
        for (topic, held, changes) in forgotten {
            let shards = self.bus.handle().interest().of(topic).shards();
            if shards == 0 {
                continue;
            }
            if topic.channel() != Channel::Trade {
                self.encode_state(topic, Kind::Snapshot, changes.saturating_add(1), shards);
            } else if held < self.numbers[topic.index()] {
                self.encode_gap(topic, held, Kind::Gap, shards);
            } else {
                self.follow(topic);
            }
            self.flush_if_full();
        }
        // Before another request is taken, which these states were not encoded for.
        self.flush();
    }

    fn continue_numbers(&mut self, symbol: SymbolId) {
        for channel in Channel::ALL {
            self.numbers[TopicId::new(channel, symbol).index()] += 1;
        }
        let market = self.markets.of(symbol);
        let newest = market.trades(symbol).next_back().map_or(0, |record| record.number);
        self.numbers[TopicId::new(Channel::Trade, symbol).index()] = newest;
        let ts_event = market.ts_event(symbol);
        let seq = self.numbers[TopicId::new(Channel::Quote, symbol).index()];
        let cached = CachedQuote { quote: market.quote(symbol), seq, ts_event };
        self.last_quotes[symbol.index()] = cached;
        self.quotes.set(symbol, &cached);
        self.status_at[symbol.index()] = ts_event;
    }
}
