//! A state as a line for people.

use std::fmt::Write;

use feeds::{Aggressor, Exponent, Level, Trade};

use crate::client::{Book, Client, Event, TextField, Update};
use crate::topic::Channel;

/// Levels a side of a book that a line has room for.
const LEVELS_SHOWN: usize = 5;

/// `None`: not a state, or not the newest of its topic any more.
pub(super) fn of(event: &Event, client: &Client) -> Option<String> {
    match event {
        Event::Trade(update, trade) => {
            let scale = client.exponents(update.channel, update.symbol.as_str())?;
            Some(format!("{}  {}", update.symbol, trade_text(trade, scale)))
        }
        Event::State(update) if client.seq(update.channel, update.symbol.as_str()) == Some(update.seq) => {
            let state = state(update, client)?;
            Some(format!("{}  {state}", update.symbol))
        }
        _ => None,
    }
}

fn state(update: &Update, client: &Client) -> Option<String> {
    let symbol = update.symbol.as_str();
    let scale = client.exponents(update.channel, symbol)?;
    match update.channel {
        Channel::Quote => {
            let quote = client.quote(symbol)?;
            let side = |level| level_text(level, scale, ' ');
            Some(format!("{} × {}", side(quote.bid), side(quote.ask)))
        }
        Channel::Book(depth) => Some(book_text(client.book(symbol, depth)?, scale)),
        // The newest trade at the beginning is known to the client by its number only.
        Channel::Trade => None,
        Channel::Ticker | Channel::Bar(_) | Channel::Status => {
            Some(fields_text(&client.fields(update.channel, symbol)?))
        }
    }
}

fn level_text(level: Option<Level>, (price, size): (Exponent, Exponent), between: char) -> String {
    level.map_or_else(
        || "-".to_owned(),
        |level| format!("{}{between}{}", level.price.display(price), level.size.display(size)),
    )
}

/// Both sides from the touch outwards.
fn book_text(book: &Book, scale: (Exponent, Exponent)) -> String {
    let mut text = String::new();
    write_levels(&mut text, "bids", book.bids(), scale);
    text.push_str(" | ");
    write_levels(&mut text, "asks", book.asks(), scale);
    text
}

fn write_levels(
    text: &mut String,
    name: &str,
    levels: impl ExactSizeIterator<Item = Level>,
    scale: (Exponent, Exponent),
) {
    let more = levels.len().saturating_sub(LEVELS_SHOWN);
    text.push_str(name);
    for level in levels.take(LEVELS_SHOWN) {
        text.push(' ');
        text.push_str(&level_text(Some(level), scale, '×'));
    }
    if more > 0 {
        let _infallible = write!(text, " +{more}");
    }
}

fn trade_text(trade: &Trade, (price, size): (Exponent, Exponent)) -> String {
    let side = match trade.aggressor {
        Aggressor::Buy => "buy ",
        Aggressor::Sell => "sell",
        Aggressor::None => "none",
    };
    format!("{side} {} @ {}", trade.size.display(size), trade.price.display(price))
}

fn fields_text(fields: &[TextField]) -> String {
    let shown = |(name, value): &TextField| format!("{name} {}", value.as_deref().unwrap_or("-"));
    fields.iter().map(shown).collect::<Vec<_>>().join("  ")
}

#[cfg(test)]
mod tests {
    use feeds::{Price, Size};

    use super::*;

    fn scale() -> (Exponent, Exponent) {
        (Exponent::new(-2).unwrap(), Exponent::new(0).unwrap())
    }

    #[test]
    fn numbers_have_the_decimals_of_their_instrument() {
        let level = Level { price: Price(18_910), size: Size(300) };
        assert_eq!(level_text(Some(level), scale(), ' '), "189.10 300");
        assert_eq!(level_text(None, scale(), ' '), "-");
        let trade = Trade { price: Price(18_911), size: Size(7), aggressor: Aggressor::Sell, id: Some(1) };
        assert_eq!(trade_text(&trade, scale()), "sell 7 @ 189.11");
    }

    #[test]
    fn of_long_books_the_best_levels_are_shown() {
        let levels = (0..7).map(|n| Level { price: Price(100 + n), size: Size(n + 1) });
        let mut text = String::new();
        write_levels(&mut text, "asks", levels.collect::<Vec<_>>().into_iter(), scale());
        assert_eq!(text, "asks 1.00×1 1.01×2 1.02×3 1.03×4 1.04×5 +2");
        assert_eq!(book_text(&Book::default(), scale()), "bids | asks");
    }

    #[test]
    fn fields_stand_as_they_were_sent() {
        let fields = [("state", Some("stale".into())), ("reason", None)];
        assert_eq!(fields_text(&fields), "state stale  reason -");
    }
}
