use super::*;

fn message(price: u32) -> String {
    format!(r#"[1,[["{price}","1","1","b","m",""]],"trade","A/B"]"#)
}

fn prices(played: &Played) -> Vec<i64> {
    let price = |event: &MarketEvent| match &event.body {
        EventBody::Trade(trade) => trade.price.0,
        other => panic!("{other:?}"),
    };
    played.events().map(price).collect()
}

#[test]
fn lines_are_played_in_order_of_their_time() {
    let mut capture = Capture::new("KRAKEN");
    for (connection, ts, price) in
        [("a", "10", 1), ("a", "12", 3), ("a", "14", 5), ("b", "10", 2), ("b", "13", 4), ("b", "14", 6)]
    {
        capture.recv_on(connection, ts, &message(price));
    }
    capture.recv_on("c", "9.5", &message(7)).recv_on("c", "8", &message(8)).recv_on("c", "20", &message(9));
    let played = capture.play().expect("undamaged");
    assert_eq!(prices(&played), [8, 7, 1, 2, 3, 4, 5, 6, 9]);
    assert_eq!(played.messages, 9);
}

#[test]
fn overtaking_by_less_than_a_second_stays_as_recorded() {
    let mut capture = Capture::new("KRAKEN");
    capture.recv("10.5", &message(1)).recv("10.0", &message(2)).recv("10.4", &message(3));
    assert_eq!(prices(&capture.play().expect("undamaged")), [1, 2, 3]);
}

#[test]
fn time_that_goes_back_again_and_again_is_refused() {
    let mut capture = Capture::new("KRAKEN");
    for ts in (1..=crate::limits::CAPTURE_LANES_MAX).rev() {
        capture.recv(&format!("{}", ts * 2), &message(1));
    }
    assert_eq!(capture.play().expect("just so many").messages, crate::limits::CAPTURE_LANES_MAX as u64);
    capture.recv("0.5", &message(1));
    assert_eq!(capture.damage().1, "the time goes back for the 32th time");
}
