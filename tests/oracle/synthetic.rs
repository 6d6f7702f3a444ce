//! ITCH files made byte by byte, from the specification's tables.

use std::collections::BTreeMap;

/// A file of random but possible order flow on three instruments, and of messages about orders that nobody added: some
/// of them on a locate code that has no name. The same seed makes the same bytes.
pub(crate) fn itch(seed: u64, messages: usize) -> Vec<u8> {
    let mut flow = Flow {
        file: Vec::new(),
        random: Random(seed),
        orders: Vec::new(),
        last_reference: 0,
        last_match: 0,
        nanoseconds: 34_200_000_000_000,
    };
    flow.message(b'S', 0, &[b"O"]);
    for (locate, stock) in STOCKS {
        let attributes: [&[u8]; 4] = [&stock, b"QN", &100_u32.to_be_bytes(), b"NCZ PNN1N\0\0\0\0N"];
        flow.message(b'R', locate, &attributes);
        flow.message(b'H', locate, &[&stock, b"T\0", b"    "]);
    }
    for _ in 0..messages {
        flow.step();
    }
    flow.message(b'S', 0, &[b"M"]);
    flow.file
}

const STOCKS: [(u16, [u8; 8]); 3] = [(1, *b"ABC     "), (2, *b"LONGNAME"), (700, *b"X.Y     ")];
/// Never named by a message.
const NAMELESS: u16 = 77;

struct Flow {
    file: Vec<u8>,
    random: Random,
    orders: Vec<Order>,
    last_reference: u64,
    last_match: u64,
    nanoseconds: u64,
}

struct Order {
    locate: u16,
    reference: u64,
    shares: u32,
    is_bid: bool,
}

impl Flow {
    fn step(&mut self) {
        // More arrivals than departures, so that books grow past a hundred levels.
        match self.random.below(100) {
            0..48 => self.add(),
            48..60 => self.take(b'E'),
            60..64 => self.take(b'C'),
            64..74 => self.take(b'X'),
            74..82 => self.delete(),
            82..92 => self.replace(),
            92..95 => self.trade(),
            _ => self.unknown(),
        }
    }

    fn add(&mut self) {
        let (locate, stock) = STOCKS[self.random.index(STOCKS.len())];
        let is_bid = self.random.below(2) == 0;
        let shares = 1 + self.random.below(900);
        let price = self.price(is_bid);
        let reference = self.new_reference();
        let side: &[u8] = if is_bid { b"B" } else { b"S" };
        let (shares_bytes, price_bytes) = (shares.to_be_bytes(), price.to_be_bytes());
        let body: [&[u8]; 6] = [&reference.to_be_bytes(), side, &shares_bytes, &stock, &price_bytes, b"NSDQ"];
        if self.random.below(4) == 0 {
            self.message(b'F', locate, &body);
        } else {
            self.message(b'A', locate, &body[..5]);
        }
        self.orders.push(Order { locate, reference, shares, is_bid });
    }

    /// Executes or cancels a part of an order, or all of it.
    fn take(&mut self, kind: u8) {
        let Some(at) = self.any_order() else { return self.add() };
        let Order { locate, reference, shares, .. } = self.orders[at];
        let taken = 1 + self.random.below(shares);
        self.last_match += 1;
        let (reference, taken_bytes) = (reference.to_be_bytes(), taken.to_be_bytes());
        let (number, price) = (self.last_match.to_be_bytes(), 999_900_u32.to_be_bytes());
        let printable: &[u8] = if taken.is_multiple_of(3) { b"N" } else { b"Y" };
        match kind {
            b'E' => self.message(kind, locate, &[&reference, &taken_bytes, &number]),
            b'C' => self.message(kind, locate, &[&reference, &taken_bytes, &number, printable, &price]),
            _ => self.message(kind, locate, &[&reference, &taken_bytes]),
        }
        self.orders[at].shares -= taken;
        if self.orders[at].shares == 0 {
            self.orders.swap_remove(at);
        }
    }

    fn delete(&mut self) {
        let Some(at) = self.any_order() else { return self.add() };
        let Order { locate, reference, .. } = self.orders.swap_remove(at);
        self.message(b'D', locate, &[&reference.to_be_bytes()]);
    }

    fn replace(&mut self) {
        let Some(at) = self.any_order() else { return self.add() };
        let Order { locate, reference, is_bid, .. } = self.orders[at];
        let new_reference = self.new_reference();
        let shares = 1 + self.random.below(900);
        let price = self.price(is_bid);
        let (old, new) = (reference.to_be_bytes(), new_reference.to_be_bytes());
        self.message(b'U', locate, &[&old, &new, &shares.to_be_bytes(), &price.to_be_bytes()]);
        self.orders[at] = Order { locate, reference: new_reference, shares, is_bid };
    }

    /// Against a hidden order: no book changes.
    fn trade(&mut self) {
        let (locate, stock) = STOCKS[self.random.index(STOCKS.len())];
        self.last_match += 1;
        let (shares, number) = (7_u32.to_be_bytes(), self.last_match.to_be_bytes());
        let price = 1_000_000_u32.to_be_bytes();
        self.message(b'P', locate, &[&0_u64.to_be_bytes(), b"B", &shares, &stock, &price, &number]);
    }

    /// About an order that was added before the file begins.
    fn unknown(&mut self) {
        let reference = (u64::MAX - u64::from(self.random.below(1_000))).to_be_bytes();
        let locate =
            if self.random.below(3) == 0 { NAMELESS } else { STOCKS[self.random.index(STOCKS.len())].0 };
        let (shares, number) = (5_u32.to_be_bytes(), self.last_match.to_be_bytes());
        match self.random.below(4) {
            0 => self.message(b'E', locate, &[&reference, &shares, &number]),
            1 => self.message(b'X', locate, &[&reference, &shares]),
            2 => self.message(b'D', locate, &[&reference]),
            _ => {
                let new = self.new_reference().to_be_bytes();
                self.message(b'U', locate, &[&reference, &new, &shares, &1_000_000_u32.to_be_bytes()]);
            }
        }
    }

    fn message(&mut self, kind: u8, locate: u16, body: &[&[u8]]) {
        self.nanoseconds += 1 + u64::from(self.random.below(2_000_000));
        let length: usize = 11 + body.iter().map(|part| part.len()).sum::<usize>();
        let length = u16::try_from(length).expect("messages are short");
        self.file.extend_from_slice(&length.to_be_bytes());
        self.file.push(kind);
        self.file.extend_from_slice(&locate.to_be_bytes());
        self.file.extend_from_slice(&[0, 0]);
        self.file.extend_from_slice(&self.nanoseconds.to_be_bytes()[2..]);
        for part in body {
            self.file.extend_from_slice(part);
        }
    }

    /// Bids below 100 dollars and offers from there, so that no book is crossed.
    fn price(&mut self, is_bid: bool) -> u32 {
        let away = 100 * self.random.below(300);
        if is_bid { 999_900 - away } else { 1_000_000 + away }
    }

    fn any_order(&mut self) -> Option<usize> {
        (!self.orders.is_empty()).then(|| self.random.index(self.orders.len()))
    }

    fn new_reference(&mut self) -> u64 {
        self.last_reference += 1;
        self.last_reference
    }
}

/// Xorshift: the same on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        u32::try_from((self.0 >> 33) % u64::from(bound)).expect("less than the bound")
    }

    fn index(&mut self, length: usize) -> usize {
        self.below(u32::try_from(length).expect("a short list")) as usize
    }
}

#[test]
fn the_same_seed_makes_the_same_file_of_every_kind_of_message() {
    let file = itch(5, 2_000);
    assert_eq!(file, itch(5, 2_000));
    assert_ne!(file, itch(6, 2_000));
    let mut kinds: BTreeMap<char, usize> = BTreeMap::new();
    let mut at = 0;
    while at < file.len() {
        *kinds.entry(char::from(file[at + 2])).or_default() += 1;
        at += 2 + usize::from(u16::from_be_bytes([file[at], file[at + 1]]));
    }
    assert_eq!(kinds.keys().collect::<String>(), "ACDEFHPRSUX");
}
