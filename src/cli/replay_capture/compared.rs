//! What came of a comparison, for people.

use crate::client::{Compared, Difference, Disagreement, PassedOver, Verdict};
use crate::printable::printable;

pub(super) fn told(compared: &Compared) -> String {
    let Compared { captured_at, server, frames, requests, answers, states, topics, .. } = compared;
    let PassedOver { merged, anew, lost, unfollowed } = compared.passed_over;
    let captured_at = printable(captured_at, usize::MAX);
    let mut text = format!(
        "captured at   {captured_at}\ncompared with {server}\nframes        {frames} read, {requests} requests sent\n\
         in common     {answers} answers, {states} states of {topics} topics\n\
         passed over   {merged} merged, {anew} where one begins anew, {lost} announced as lost, {unfollowed} not followed\n"
    );
    if let Some(later) = compared.later_us.filter(|later| *later != 0) {
        text.push_str(&format!("times         {later} µs later\n"));
    }
    for difference in &compared.differences {
        text.push_str(&format!("difference    {}\n", line(difference)));
    }
    let shown = u64::try_from(compared.differences.len()).unwrap_or(u64::MAX);
    if compared.differences_total > shown {
        text.push_str(&format!("              and {} more\n", compared.differences_total - shown));
    }
    if let Some(why) = &compared.cannot_tell {
        text.push_str(&format!("not all       {}\n", printable(why, usize::MAX)));
    }
    text.push_str(match compared.verdict {
        Verdict::Equal => "all of it is the same\n",
        Verdict::Differs => "it is not the same\n",
        Verdict::CannotTell => "it cannot be told whether it is the same\n",
    });
    text
}

/// Of one difference. Its texts were made for a terminal already.
fn line(difference: &Difference) -> String {
    let Difference { what, line, subject, seq, field, captured, server } = difference;
    let mut place = line.map(|line| format!("line {line}: ")).unwrap_or_default();
    if let Some(subject) = subject {
        place.push_str(subject);
        if let Some(seq) = seq {
            place.push_str(&format!(" at {seq}"));
        }
        place.push_str(": ");
    }
    let value = |value: &Option<String>| match value {
        Some(text) => format!("`{text}`"),
        None => "nothing".to_owned(),
    };
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    place
        + &match what {
            Disagreement::Value => {
                format!("`{}` is {}, and was {}", text(field), value(server), value(captured))
            }
            Disagreement::Missing => "the server passes over it without a word".to_owned(),
            Disagreement::Extra => "the server has it, and the capture goes on without it".to_owned(),
            Disagreement::NotCome => "it has not come".to_owned(),
            Disagreement::CaptureFault => format!("in the capture: {}", text(captured)),
            Disagreement::ServerFault => format!("of the server: {}", text(server)),
        }
}
