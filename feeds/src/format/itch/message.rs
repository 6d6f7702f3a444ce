//! The messages of ITCH 5.0, byte for byte.
//!
//! Sections are those of the specification's edition of 2020; newer editions number them 1.1 instead of 4.1.

use std::fmt;

use crate::{OrderId, Price, Side, Size, Symbol, SymbolError};

/// Type, stock locate, tracking number and time, which all messages begin with.
const HEADER_BYTES: usize = 11;
/// The longest message, `I`.
pub(super) const MESSAGE_BYTES_MAX: usize = 50;
const NANOS_PER_DAY: i64 = 86_400_000_000_000;

/// One message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message {
    /// The day's number of the stock; 0 in messages about the whole market.
    pub locate: u16,
    /// NASDAQ's internal number.
    pub tracking: u16,
    /// Nanoseconds since midnight in New York, below one day.
    pub nanos_since_midnight: i64,
    /// The rest.
    pub body: Body,
}

/// Why some bytes are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// Not one byte.
    #[error("a message of no bytes")]
    Empty,
    /// A type that the specification does not have.
    #[error("unknown message type `{}`", .0.escape_ascii())]
    UnknownType(u8),
    /// More or fewer bytes than the type has.
    #[error("a message of type `{}` with {found} bytes, where it has {expected}", kind.escape_ascii())]
    Length {
        /// The type.
        kind: u8,
        /// The bytes that the type has.
        expected: usize,
        /// The bytes that were given.
        found: usize,
    },
    /// A time of day past midnight.
    #[error("a message of type `{}` at {nanos} ns past midnight, which is no time of a day", kind.escape_ascii())]
    Time {
        /// The type.
        kind: u8,
        /// The time.
        nanos: i64,
    },
    /// A code which the field cannot have.
    #[error("a message of type `{}` with `{}` for its {field}", kind.escape_ascii(), found.escape_ascii())]
    Code {
        /// The type.
        kind: u8,
        /// The field.
        field: &'static str,
        /// The code.
        found: u8,
    },
}

/// Declares messages by their layout after the header: the types, the decoder, the lengths, and a proof at compile
/// time that the fields add up to the length which the specification gives.
macro_rules! messages {
    ($(
        $(#[$doc:meta])*
        $name:ident = $kind:literal, $length:literal {
            $( $(#[$field_doc:meta])* $field:ident: $type:ty, )*
        }
    )*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Copy, Debug, PartialEq, Eq)]
            pub struct $name {
                $( $(#[$field_doc])* pub $field: $type, )*
            }

            const _: () = assert!(HEADER_BYTES $( + <$type as Field>::BYTES )* == $length);
            const _: () = assert!($length <= MESSAGE_BYTES_MAX);
        )*

        /// What a message says, by its type.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Body {
            $( $(#[$doc])* $name($name), )*
        }

        /// How many bytes a message of this type has; `None` for a type that is not in the specification.
        #[must_use]
        pub const fn length(kind: u8) -> Option<usize> {
            match kind {
                $( $kind => Some($length), )*
                _ => None,
            }
        }

        /// Decodes one message, without its length prefix.
        ///
        /// # Errors
        /// [`ParseError`] for anything but exactly one message of the specification.
        #[inline]
        pub fn parse(bytes: &[u8]) -> Result<Message, ParseError> {
            let kind = *bytes.first().ok_or(ParseError::Empty)?;
            match kind {
                $(
                    $kind => {
                        let bytes: &[u8; $length] = bytes.try_into().map_err(|_| ParseError::Length {
                            kind,
                            expected: $length,
                            found: bytes.len(),
                        })?;
                        let mut fields = Fields(&bytes[1..]);
                        let (locate, tracking) = (fields.number(), fields.number());
                        let nanos_since_midnight = fields.time();
                        if nanos_since_midnight >= NANOS_PER_DAY {
                            return Err(ParseError::Time { kind, nanos: nanos_since_midnight });
                        }
                        let body = Body::$name($name {
                            $(
                                $field: Field::decode(&mut fields).map_err(|found| ParseError::Code {
                                    kind,
                                    field: stringify!($field),
                                    found,
                                })?,
                            )*
                        });
                        Ok(Message { locate, tracking, nanos_since_midnight, body })
                    }
                )*
                _ => Err(ParseError::UnknownType(kind)),
            }
        }
    };
}

messages! {
    /// `S`, 4.1: an hour of the system begins or ends.
    SystemEvent = b'S', 12 {
        /// `O` start of messages, `S` start of system hours, `Q` start of market hours, `M` end of market hours,
        /// `E` end of system hours, `C` end of messages.
        event: u8,
    }

    /// `R`, 4.2.1: a stock, at the start of the day.
    StockDirectory = b'R', 39 {
        /// The symbol.
        stock: Stock,
        /// Where it is listed: `Q` `G` `S` NASDAQ's tiers, `N` NYSE, `A` NYSE American, `P` Arca, `Z` BATS, `V` IEX.
        market_category: u8,
        /// `N` normal; otherwise deficient, delinquent, bankrupt and so on.
        financial_status: u8,
        /// Shares of a round lot.
        round_lot_size: u32,
        /// `Y`: round lots only.
        round_lots_only: u8,
        /// Kind of security, `C` for common stock.
        issue_classification: u8,
        /// Kind of security, finer.
        issue_sub_type: [u8; 2],
        /// `P` live, `T` test.
        authenticity: u8,
        /// `Y`: restricted under SEC rule 203(b)(3).
        short_sale_threshold: u8,
        /// `Y`: set up for an IPO release.
        ipo_flag: u8,
        /// Tier of the limit-up-limit-down band.
        luld_tier: u8,
        /// `Y`: an exchange-traded product.
        etp_flag: u8,
        /// Its leverage.
        etp_leverage: u32,
        /// `Y`: inverse.
        inverse: u8,
    }

    /// `H`, 4.2.2: the trading state of a stock.
    StockTradingAction = b'H', 25 {
        /// The symbol.
        stock: Stock,
        /// The state.
        state: TradingState,
        /// Not used.
        reserved: u8,
        /// The reason's code, padded with spaces.
        reason: [u8; 4],
    }

    /// `Y`, 4.2.3: Regulation SHO short sale price test.
    RegSho = b'Y', 20 {
        /// The symbol.
        stock: Stock,
        /// `0` none, `1` in effect since an intraday fall, `2` still in effect.
        action: u8,
    }

    /// `L`, 4.2.4: a market maker's status in a stock.
    MarketParticipant = b'L', 26 {
        /// Market participant identifier.
        mpid: [u8; 4],
        /// The symbol.
        stock: Stock,
        /// `Y`: primary market maker.
        primary: u8,
        /// `N` normal, `P` passive, `S` syndicate, `R` pre-syndicate, `L` penalty.
        mode: u8,
        /// `A` active, `E` excused, `W` withdrawn, `S` suspended, `D` deleted.
        state: u8,
    }

    /// `V`, 4.2.5.1: the levels of the market-wide circuit breaker, with eight decimals.
    MwcbDeclineLevel = b'V', 35 {
        /// Level 1.
        level_1: u64,
        /// Level 2.
        level_2: u64,
        /// Level 3.
        level_3: u64,
    }

    /// `W`, 4.2.5.2: a level of the market-wide circuit breaker was breached.
    MwcbStatus = b'W', 12 {
        /// `1`, `2` or `3`.
        level: u8,
    }

    /// `K`, 4.2.6: when an IPO will be released for quotation.
    IpoQuotingPeriod = b'K', 28 {
        /// The symbol.
        stock: Stock,
        /// Seconds since midnight.
        release_seconds: u32,
        /// `A` anticipated, `C` cancelled or postponed.
        qualifier: u8,
        /// The price of the IPO.
        price: Price,
    }

    /// `J`, 4.2.7: the collar of an auction after a limit-up-limit-down pause.
    LuldAuctionCollar = b'J', 35 {
        /// The symbol.
        stock: Stock,
        /// The reference price.
        reference_price: Price,
        /// The collar's upper end.
        upper_price: Price,
        /// The collar's lower end.
        lower_price: Price,
        /// How often the collar was extended.
        extension: u32,
    }

    /// `h`, 4.2.8: service in a stock was interrupted or resumed at one market.
    OperationalHalt = b'h', 21 {
        /// The symbol.
        stock: Stock,
        /// `Q` NASDAQ, `B` BX, `X` PSX.
        market: u8,
        /// What happened.
        action: HaltAction,
    }

    /// `A`, 4.3.1: an order joins the book.
    AddOrder = b'A', 36 {
        /// Its number, unique for the day.
        order: OrderId,
        /// Buy or sell.
        side: Side,
        /// Shares.
        size: Size,
        /// The symbol.
        stock: Stock,
        /// Its limit.
        price: Price,
    }

    /// `F`, 4.3.2: an order joins the book, and shows whose it is.
    AddOrderAttributed = b'F', 40 {
        /// Its number, unique for the day.
        order: OrderId,
        /// Buy or sell.
        side: Side,
        /// Shares.
        size: Size,
        /// The symbol.
        stock: Stock,
        /// Its limit.
        price: Price,
        /// Market participant identifier.
        mpid: [u8; 4],
    }

    /// `E`, 4.4.1: an order is executed at its own price.
    OrderExecuted = b'E', 31 {
        /// The order.
        order: OrderId,
        /// Shares.
        size: Size,
        /// The match, unique for the day.
        match_number: u64,
    }

    /// `C`, 4.4.2: an order is executed at another price than its own.
    OrderExecutedWithPrice = b'C', 36 {
        /// The order.
        order: OrderId,
        /// Shares.
        size: Size,
        /// The match, unique for the day.
        match_number: u64,
        /// Whether it prints to the tape; if not, a cross will report it in bulk.
        printable: bool,
        /// The price of the execution.
        price: Price,
    }

    /// `X`, 4.4.3: an order loses some of its shares.
    OrderCancel = b'X', 23 {
        /// The order.
        order: OrderId,
        /// Shares that are gone.
        size: Size,
    }

    /// `D`, 4.4.4: an order is gone.
    OrderDelete = b'D', 19 {
        /// The order.
        order: OrderId,
    }

    /// `U`, 4.4.5: an order becomes another one on the same side.
    OrderReplace = b'U', 35 {
        /// The order that is gone.
        order: OrderId,
        /// The order that stands for it.
        new_order: OrderId,
        /// Its shares.
        size: Size,
        /// Its limit.
        price: Price,
    }

    /// `P`, 4.5.1: a trade against an order that was not shown.
    Trade = b'P', 44 {
        /// The order; always 0 since 2010.
        order: OrderId,
        /// The order's side; always buy since July 2014, whatever it was.
        side: Side,
        /// Shares.
        size: Size,
        /// The symbol.
        stock: Stock,
        /// The price.
        price: Price,
        /// The match, unique for the day.
        match_number: u64,
    }

    /// `Q`, 4.5.2: what a cross traded.
    CrossTrade = b'Q', 40 {
        /// Shares; 0 when nothing was crossed.
        shares: u64,
        /// The symbol.
        stock: Stock,
        /// The price.
        price: Price,
        /// The match, unique for the day.
        match_number: u64,
        /// `O` opening, `C` closing, `H` after a halt or IPO, `I` intraday.
        cross: u8,
    }

    /// `B`, 4.5.3: a match was broken.
    BrokenTrade = b'B', 19 {
        /// The match.
        match_number: u64,
    }

    /// `I`, 4.6: the imbalance before a cross.
    NetOrderImbalance = b'I', 50 {
        /// Shares that would be matched at the reference price.
        paired_shares: u64,
        /// Shares that would not.
        imbalance_shares: u64,
        /// `B` buy, `S` sell, `N` none, `O` too few orders, `P` paused.
        direction: u8,
        /// The symbol.
        stock: Stock,
        /// Where the orders of the cross alone would clear.
        far_price: Price,
        /// Where they would clear with the continuous orders.
        near_price: Price,
        /// The price at which the imbalance is calculated.
        reference_price: Price,
        /// `O` opening, `C` closing, `H` after a halt or IPO, `A` extended trading close.
        cross: u8,
        /// How far the near price is from the reference price, a code.
        price_variation: u8,
    }

    /// `N`, 4.7: hidden retail price improvement orders.
    RetailInterest = b'N', 20 {
        /// The symbol.
        stock: Stock,
        /// `B` on the buy side, `S` on the sell side, `A` both, `N` none.
        interest: u8,
    }

    /// `O`, 4.8 (since 2023): price discovery of a direct listing with a capital raise.
    DirectListing = b'O', 48 {
        /// The symbol.
        stock: Stock,
        /// `Y`: may be released for trading.
        open_eligibility: u8,
        /// The lowest price allowed.
        minimum_price: Price,
        /// The highest price allowed.
        maximum_price: Price,
        /// The reference price when the volatility test was passed.
        near_execution_price: Price,
        /// When that was.
        near_execution_time: u64,
        /// The auction collar's lower end.
        lower_price: Price,
        /// The auction collar's upper end.
        upper_price: Price,
    }
}

impl Body {
    /// The stock that a message names.
    #[must_use]
    #[inline]
    pub const fn stock(&self) -> Option<Stock> {
        Some(match self {
            Self::StockDirectory(body) => body.stock,
            Self::StockTradingAction(body) => body.stock,
            Self::RegSho(body) => body.stock,
            Self::MarketParticipant(body) => body.stock,
            Self::IpoQuotingPeriod(body) => body.stock,
            Self::LuldAuctionCollar(body) => body.stock,
            Self::OperationalHalt(body) => body.stock,
            Self::AddOrder(body) => body.stock,
            Self::AddOrderAttributed(body) => body.stock,
            Self::Trade(body) => body.stock,
            Self::CrossTrade(body) => body.stock,
            Self::NetOrderImbalance(body) => body.stock,
            Self::RetailInterest(body) => body.stock,
            Self::DirectListing(body) => body.stock,
            Self::SystemEvent(_)
            | Self::MwcbDeclineLevel(_)
            | Self::MwcbStatus(_)
            | Self::OrderExecuted(_)
            | Self::OrderExecutedWithPrice(_)
            | Self::OrderCancel(_)
            | Self::OrderDelete(_)
            | Self::OrderReplace(_)
            | Self::BrokenTrade(_) => return None,
        })
    }
}

/// A symbol as it stands in a message: eight bytes, padded with spaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stock(pub [u8; 8]);

impl Stock {
    /// # Errors
    /// [`SymbolError`] when it is blank, or holds what a symbol may not.
    pub fn symbol(self) -> Result<Symbol, SymbolError> {
        Symbol::new(String::from_utf8_lossy(self.0.trim_ascii_end()).as_ref())
    }
}

impl fmt::Display for Stock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.0.trim_ascii_end().escape_ascii())
    }
}

/// The trading state of a stock, over all markets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TradingState {
    /// `H`.
    Halted,
    /// `P`: paused, in stocks that NASDAQ does not list.
    Paused,
    /// `Q`: orders are collected, nothing trades.
    QuotationOnly,
    /// `T`.
    Trading,
}

/// What an operational halt does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HaltAction {
    /// `H`: the market is interrupted.
    Halted,
    /// `T`: it is resumed.
    Resumed,
}

/// The fields of a message that are still to be decoded.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    #[inline(always)]
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let (field, rest) =
            self.0.split_first_chunk().expect("fields add up to the length, as asserted above");
        self.0 = rest;
        *field
    }

    #[inline(always)]
    fn number(&mut self) -> u16 {
        u16::from_be_bytes(self.take())
    }

    #[inline(always)]
    fn time(&mut self) -> i64 {
        let [a, b, c, d, e, f] = self.take();
        i64::from_be_bytes([0, 0, a, b, c, d, e, f])
    }
}

/// A kind of field.
trait Field: Sized {
    /// Its width.
    const BYTES: usize;

    /// Takes it; the error is a code which it cannot have.
    fn decode(fields: &mut Fields<'_>) -> Result<Self, u8>;
}

macro_rules! fields {
    ($( $type:ty, $bytes:literal, |$taken:ident| $value:expr; )*) => {
        $(
            impl Field for $type {
                const BYTES: usize = $bytes;

                #[inline(always)]
                fn decode(fields: &mut Fields<'_>) -> Result<Self, u8> {
                    let $taken: [u8; $bytes] = fields.take();
                    $value
                }
            }
        )*
    };
}

fields! {
    u8, 1, |bytes| Ok(bytes[0]);
    u32, 4, |bytes| Ok(Self::from_be_bytes(bytes));
    u64, 8, |bytes| Ok(Self::from_be_bytes(bytes));
    [u8; 2], 2, |bytes| Ok(bytes);
    [u8; 4], 4, |bytes| Ok(bytes);
    Stock, 8, |bytes| Ok(Self(bytes));
    OrderId, 8, |bytes| Ok(Self(u64::from_be_bytes(bytes)));
    Price, 4, |bytes| Ok(Self(i64::from(u32::from_be_bytes(bytes))));
    Size, 4, |bytes| Ok(Self(i64::from(u32::from_be_bytes(bytes))));
    bool, 1, |bytes| match bytes[0] {
        b'Y' => Ok(true),
        b'N' => Ok(false),
        other => Err(other),
    };
    Side, 1, |bytes| match bytes[0] {
        b'B' => Ok(Self::Bid),
        b'S' => Ok(Self::Ask),
        other => Err(other),
    };
    TradingState, 1, |bytes| match bytes[0] {
        b'H' => Ok(Self::Halted),
        b'P' => Ok(Self::Paused),
        b'Q' => Ok(Self::QuotationOnly),
        b'T' => Ok(Self::Trading),
        other => Err(other),
    };
    HaltAction, 1, |bytes| match bytes[0] {
        b'H' => Ok(Self::Halted),
        b'T' => Ok(Self::Resumed),
        other => Err(other),
    };
}
