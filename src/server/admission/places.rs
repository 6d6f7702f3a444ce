//! Who is in, over all shards: connections by address, and by age.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use governor::clock::Clock;

use super::network::Holder;
use super::rate::{Limit, Meter, Monotonic};
use crate::limits::{ADDRESSES_LOOKED_AT, ADDRESSES_MAX};
use crate::wire::code::CloseCode;

/// How a connection is told to end, from any thread: its shard looks at it within a tick.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ticket(Arc<OnceLock<CloseCode>>);

impl Ticket {
    /// Ends the connection, unless it was told to already; says whether it is told now.
    pub(crate) fn end(&self, code: CloseCode) -> bool {
        self.0.set(code).is_ok()
    }

    /// Why it is to end, if it is.
    pub(crate) fn ending(&self) -> Option<CloseCode> {
        self.0.get().copied()
    }
}

/// What an address holds and has used up.
struct Address<C: Clock> {
    http: usize,
    sockets: usize,
    handshakes: Option<Meter<C>>,
    requests: Option<Meter<C>>,
    tls: Option<Meter<C>>,
    seen: C::Instant,
}

struct Inner<C: Clock> {
    /// The number of the next WebSocket.
    next: u64,
    /// Every WebSocket, the newest last.
    sockets: BTreeMap<u64, Ticket>,
    addresses: BTreeMap<Holder, Address<C>>,
}

/// All of them. Cheap to clone. The lock is held for one lookup, once a connection or request by HTTP, never for a
/// message.
#[derive(Clone)]
pub(super) struct Places<C: Clock = Monotonic> {
    inner: Arc<Mutex<Inner<C>>>,
    clock: C,
}

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoPlace {
    /// There are as many connections as there may be.
    Full,
    /// The address has as many as it may.
    Address,
}

/// Something that an address does so and so often.
#[derive(Clone, Copy)]
pub(super) enum Deed {
    Handshake,
    Request,
    Tls,
}

impl<C: Clock + Clone> Places<C> {
    pub(super) fn new(clock: C) -> Self {
        let inner = Inner { next: 0, sockets: BTreeMap::new(), addresses: BTreeMap::new() };
        Self { inner: Arc::new(Mutex::new(inner)), clock }
    }

    fn lock(&self) -> MutexGuard<'_, Inner<C>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a connection of HTTP, until it is dropped. Whoever is exempt has no address here.
    pub(super) fn http(&self, holder: Option<Holder>, max: usize) -> Result<HttpPlace<C>, NoPlace> {
        if let Some(holder) = holder {
            let mut inner = self.lock();
            let address = inner.address(holder, &self.clock);
            if address.http >= max {
                return Err(NoPlace::Address);
            }
            address.http += 1;
        }
        Ok(HttpPlace { places: self.clone(), holder })
    }

    /// A place for a WebSocket, until it is dropped.
    pub(super) fn socket(
        &self,
        holder: Option<Holder>,
        max: usize,
        per_address_max: usize,
    ) -> Result<Place<C>, NoPlace> {
        let mut inner = self.lock();
        if inner.sockets.len() >= max {
            return Err(NoPlace::Full);
        }
        if let Some(holder) = holder {
            let address = inner.address(holder, &self.clock);
            if address.sockets >= per_address_max {
                return Err(NoPlace::Address);
            }
            address.sockets += 1;
        }
        let (number, ticket) = (inner.next, Ticket::default());
        inner.next += 1;
        inner.sockets.insert(number, ticket.clone());
        drop(inner);
        Ok(Place { places: self.clone(), holder, number, ticket })
    }

    /// Counts a deed of an address.
    ///
    /// # Errors
    /// How long to wait, when it is one too many.
    pub(super) fn take(&self, holder: Option<Holder>, deed: Deed, limit: Limit) -> Result<(), Duration> {
        let Some(holder) = holder else { return Ok(()) };
        let mut inner = self.lock();
        let address = inner.address(holder, &self.clock);
        let rate = match deed {
            Deed::Handshake => &mut address.handshakes,
            Deed::Request => &mut address.requests,
            Deed::Tls => &mut address.tls,
        };
        rate.get_or_insert_with(|| Meter::new(limit, &self.clock)).take(limit)
    }

    /// Ends the newest WebSockets that were not told to end yet; says how many.
    pub(super) fn end_newest(&self, count: usize, code: CloseCode) -> usize {
        let inner = self.lock();
        inner.sockets.values().rev().filter(|ticket| ticket.end(code)).take(count).count()
    }

    /// WebSockets there are.
    pub(super) fn sockets(&self) -> usize {
        self.lock().sockets.len()
    }
}

impl<C: Clock + Clone> Inner<C> {
    fn address(&mut self, holder: Holder, clock: &C) -> &mut Address<C> {
        if self.addresses.len() >= ADDRESSES_MAX && !self.addresses.contains_key(&holder) {
            self.forget_one(holder);
        }
        let now = clock.now();
        let address = self.addresses.entry(holder).or_insert_with(|| Address {
            http: 0,
            sockets: 0,
            handshakes: None,
            requests: None,
            tls: None,
            seen: now,
        });
        address.seen = now;
        address
    }

    /// Forgets the longest unseen of the next few that hold nothing. Where all of these hold something, the map grows:
    /// so far as there are connections, which are bounded themselves.
    fn forget_one(&mut self, behind: Holder) {
        let next = self.addresses.range(behind..).chain(self.addresses.range(..behind));
        let idle = next.take(ADDRESSES_LOOKED_AT).filter(|(_, address)| address.http + address.sockets == 0);
        if let Some(oldest) = idle.min_by_key(|(_, address)| address.seen).map(|(holder, _)| *holder) {
            self.addresses.remove(&oldest);
        }
    }

    fn leave(&mut self, holder: Option<Holder>, leave: impl FnOnce(&mut Address<C>)) {
        if let Some(address) = holder.and_then(|holder| self.addresses.get_mut(&holder)) {
            leave(address);
        }
    }
}

/// A connection of HTTP.
pub(crate) struct HttpPlace<C: Clock + Clone = Monotonic> {
    places: Places<C>,
    holder: Option<Holder>,
}

impl<C: Clock + Clone> Drop for HttpPlace<C> {
    fn drop(&mut self) {
        self.places.lock().leave(self.holder, |address| address.http -= 1);
    }
}

/// A WebSocket.
pub(crate) struct Place<C: Clock + Clone = Monotonic> {
    places: Places<C>,
    holder: Option<Holder>,
    number: u64,
    ticket: Ticket,
}

impl<C: Clock + Clone> Place<C> {
    /// By which it is told to end.
    pub(crate) const fn ticket(&self) -> &Ticket {
        &self.ticket
    }

    /// How many of the process came before it.
    pub(crate) const fn number(&self) -> u64 {
        self.number
    }
}

impl<C: Clock + Clone> Drop for Place<C> {
    fn drop(&mut self) {
        let mut inner = self.places.lock();
        inner.sockets.remove(&self.number);
        inner.leave(self.holder, |address| address.sockets -= 1);
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};
    use std::num::NonZeroU32;

    use governor::clock::FakeRelativeClock;
    use proptest::prelude::*;

    use super::*;

    fn holder(number: u32) -> Option<Holder> {
        Some(IpAddr::from(Ipv4Addr::from(number)).into())
    }

    fn places() -> (Places<FakeRelativeClock>, FakeRelativeClock) {
        let clock = FakeRelativeClock::default();
        (Places::new(clock.clone()), clock)
    }

    #[test]
    fn an_address_has_so_many_and_all_of_them_so_many() {
        let (places, _) = places();
        let one = places.socket(holder(1), 3, 2).ok();
        let two = places.socket(holder(1), 3, 2).ok();
        assert!(one.is_some() && two.is_some());
        assert_eq!(places.socket(holder(1), 3, 2).err(), Some(NoPlace::Address));
        let exempt = places.socket(None, 3, 0).ok();
        assert!(exempt.is_some());
        assert_eq!(places.socket(holder(2), 3, 2).err(), Some(NoPlace::Full));
        drop(one);
        assert!(places.socket(holder(2), 3, 2).is_ok());
        let http = [places.http(holder(1), 2).ok(), places.http(holder(1), 2).ok()];
        assert_eq!(places.http(holder(1), 2).err(), Some(NoPlace::Address));
        assert!(places.http(None, 0).is_ok() && places.http(holder(2), 2).is_ok());
        drop(http);
        assert!(places.http(holder(1), 2).is_ok());
    }

    #[test]
    fn each_address_has_its_own_rate_and_each_deed() {
        let (places, clock) = places();
        let one = NonZeroU32::MIN;
        let limit = Limit { per_second: one, burst: one };
        let second = Duration::from_secs(1);
        assert_eq!(places.take(holder(1), Deed::Handshake, limit), Ok(()));
        assert_eq!(places.take(holder(1), Deed::Handshake, limit), Err(second));
        assert_eq!(places.take(holder(1), Deed::Request, limit), Ok(()));
        assert_eq!(places.take(holder(2), Deed::Handshake, limit), Ok(()));
        for _ in 0..3 {
            assert_eq!(places.take(None, Deed::Handshake, limit), Ok(()), "exempt");
        }
        clock.advance(second);
        assert_eq!(places.take(holder(1), Deed::Handshake, limit), Ok(()));
    }

    #[test]
    fn the_newest_end_first_and_each_once() {
        let (places, _) = places();
        let held: Vec<_> = (0..5).filter_map(|n| places.socket(holder(n), 9, 9).ok()).collect();
        let ending = || held.iter().map(|place| place.ticket().ending().is_some()).collect::<Vec<_>>();
        assert_eq!(places.end_newest(2, CloseCode::TryAgainLater), 2);
        assert_eq!(ending(), [false, false, false, true, true]);
        assert_eq!(places.end_newest(1, CloseCode::TryAgainLater), 1);
        assert_eq!(ending(), [false, false, true, true, true]);
        assert_eq!(places.end_newest(9, CloseCode::ConnectionLimit), 2);
        assert_eq!(held[4].ticket().ending(), Some(CloseCode::TryAgainLater), "the first word counts");
        drop(held);
        assert_eq!((places.sockets(), places.end_newest(9, CloseCode::TryAgainLater)), (0, 0));
    }

    #[test]
    fn what_is_known_of_addresses_is_bounded_and_those_who_hold_something_stay() {
        let (places, clock) = places();
        let one = NonZeroU32::MIN;
        let limit = Limit { per_second: one, burst: one };
        let held = places.socket(holder(7), 9, 1).ok();
        let many = u32::try_from(ADDRESSES_MAX).expect("some thousands");
        for number in 0..2 * many {
            clock.advance(Duration::from_micros(1));
            assert_eq!(places.take(holder(number), Deed::Handshake, limit), Ok(()), "{number}");
            assert!(places.lock().addresses.len() <= ADDRESSES_MAX);
        }
        assert_eq!(places.socket(holder(7), 9, 1).err(), Some(NoPlace::Address));
        drop(held);
        assert!(places.socket(holder(7), 9, 1).is_ok());
    }

    proptest! {
        /// Against a list of who is in.
        #[test]
        fn places_are_counted_as_by_a_list(steps in proptest::collection::vec((0_u32..4, 0_usize..8, any::<bool>()), 0..200)) {
            const MAX: usize = 6;
            const PER_ADDRESS_MAX: usize = 3;
            let (places, _) = places();
            let mut held: Vec<(u32, Place<FakeRelativeClock>)> = Vec::new();
            for (number, index, comes) in steps {
                if comes {
                    let own = held.iter().filter(|(other, _)| *other == number).count();
                    let expected = if held.len() == MAX {
                        Some(NoPlace::Full)
                    } else if own == PER_ADDRESS_MAX {
                        Some(NoPlace::Address)
                    } else {
                        None
                    };
                    match places.socket(holder(number), MAX, PER_ADDRESS_MAX) {
                        Ok(place) => {
                            prop_assert_eq!(expected, None);
                            held.push((number, place));
                        }
                        Err(error) => prop_assert_eq!(expected, Some(error)),
                    }
                } else if index < held.len() {
                    held.swap_remove(index);
                }
                prop_assert_eq!(places.sockets(), held.len());
            }
        }
    }
}
