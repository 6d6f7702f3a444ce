//! An endpoint for WebSockets that does everything right but for one thing.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};

use data_encoding::BASE64;
use sha1::{Digest, Sha1};

use super::program::PATIENCE;

/// What it does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    SaysNothing,
    SpeaksNoHttp,
    KnowsNobody,
    WrongAccept,
    ChoosesWhatWasNotOffered,
    ChoosesWhatItDoesNotSpeak,
    DoesNotCompress,
    ChoosesAnotherExtension,
    NamesAWindowThatIsNone,
    OpensForAnOldVersion,
    HidesItsVersion,
    OpensWithoutAKey,
    BreaksWithoutAKey,
    LetsAnyPageIn,
    GivesAnyPageCookies,
    HangsUpOnPages,
    HasNoRoomForPages,
    SaysWhenThereIsRoomForPages,
    SendsNoPong,
    SendsAnotherPong,
    DoesNotAnswerAClose,
    StaysAfterAClose,
    AnswersAnotherCode,
    AnswersACodeThatIsNone,
    MasksItsFrames,
    SendsDamagedDeflate,
    TakesWhatIsNotMasked,
    HangsUpOnWhatIsNotMasked,
    TakesReservedBits,
    TakesReservedKinds,
    TakesWhatIsNotUtf8,
    Closes1002ForWhatIsNotUtf8,
    PassesOverWhatIsNotJson,
    HangsUpOnWhatIsNotJson,
    TakesAnySize,
    HangsUpOnSize,
    HasNoHeartbeat,
}

const SIZE_MAX: u64 = 64 * 1024;

/// Serves from now on, as long as the test runs.
pub(crate) fn bad_endpoint(fault: Fault) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            // Who has left needs no answer.
            std::thread::spawn(move || stream.and_then(|stream| serve(stream, fault)));
        }
    });
    address
}

fn serve(stream: TcpStream, fault: Fault) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream);
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        match line.trim_end().split_once(": ") {
            Some((name, value)) => headers.insert(name.to_ascii_lowercase(), value.to_owned()),
            None if line == "\r\n" => break,
            None => None,
        };
    }
    let answer = answer(&headers, fault);
    reader.get_mut().write_all(answer.as_bytes())?;
    if fault == Fault::SaysNothing || answer.starts_with("HTTP/1.1 101") {
        talk(&mut reader, fault)?;
    }
    Ok(())
}

fn answer(headers: &BTreeMap<String, String>, fault: Fault) -> String {
    let refused =
        |status: &str| format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    match fault {
        Fault::SaysNothing => return String::new(),
        Fault::SpeaksNoHttp => return "+OK ready\r\n\r\n".to_owned(),
        Fault::KnowsNobody => return refused("401 Unauthorized"),
        _ => {}
    }
    let version = headers.get("sec-websocket-version").map(String::as_str);
    if version != Some("13") && fault != Fault::OpensForAnOldVersion {
        let told = if fault == Fault::HidesItsVersion { "" } else { "\r\nSec-WebSocket-Version: 7, 13" };
        return refused(&format!("426 Upgrade Required{told}"));
    }
    let key = headers.get("sec-websocket-key").map(String::as_str);
    match fault {
        _ if key.is_some() => {}
        Fault::OpensWithoutAKey => {}
        Fault::BreaksWithoutAKey => return refused("500 Internal Server Error"),
        _ => return refused("400 Bad Request"),
    }
    let mut more = String::new();
    if headers.contains_key("origin") {
        match fault {
            Fault::LetsAnyPageIn => {}
            Fault::GivesAnyPageCookies => more += "Set-Cookie: session=1\r\n",
            Fault::HangsUpOnPages => return String::new(),
            Fault::HasNoRoomForPages => return refused("429 Too Many Requests"),
            Fault::SaysWhenThereIsRoomForPages => {
                return refused("503 Service Unavailable\r\nRetry-After: 5");
            }
            _ => return refused("403 Forbidden"),
        }
    }
    match (fault, headers.get("sec-websocket-protocol")) {
        (Fault::ChoosesWhatWasNotOffered, _) => more += "Sec-WebSocket-Protocol: ticks\r\n",
        (Fault::ChoosesWhatItDoesNotSpeak, Some(offer)) => {
            more += &format!("Sec-WebSocket-Protocol: {offer}\r\n");
        }
        _ => {}
    }
    if headers.get("sec-websocket-extensions").is_some_and(|offer| offer.starts_with("permessage-deflate")) {
        more += match fault {
            Fault::DoesNotCompress => "",
            Fault::ChoosesAnotherExtension => "Sec-WebSocket-Extensions: x-webkit-deflate-frame\r\n",
            Fault::NamesAWindowThatIsNone => {
                "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=99\r\n"
            }
            _ => "Sec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover\r\n",
        };
    }
    let proven = if fault == Fault::WrongAccept { "another" } else { key.unwrap_or_default() };
    let accept = Sha1::new().chain_update(proven).chain_update("258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Accept: {}\r\n{more}\r\n",
        BASE64.encode(&accept.finalize())
    )
}

/// Reads frames, until one ends the connection or the client does.
fn talk(reader: &mut BufReader<TcpStream>, fault: Fault) -> io::Result<()> {
    loop {
        let mut head = [0; 2];
        reader.read_exact(&mut head)?;
        let [first, second] = head;
        let is_masked = second & 0x80 != 0;
        let len = match second & 0x7f {
            126 => {
                let mut len = [0; 2];
                reader.read_exact(&mut len)?;
                u64::from(u16::from_be_bytes(len))
            }
            127 => {
                let mut len = [0; 8];
                reader.read_exact(&mut len)?;
                u64::from_be_bytes(len)
            }
            len => u64::from(len),
        };
        match fault {
            _ if is_masked => {}
            Fault::TakesWhatIsNotMasked => {}
            Fault::HangsUpOnWhatIsNotMasked => return Ok(()),
            _ => return close(reader, 1002, fault),
        }
        match fault {
            _ if len <= SIZE_MAX => {}
            Fault::TakesAnySize => {}
            Fault::HangsUpOnSize => return Ok(()),
            _ => return close(reader, 1009, fault),
        }
        let mut mask = [0; 4];
        if is_masked {
            reader.read_exact(&mut mask)?;
        }
        let mut payload = vec![0; usize::try_from(len).expect("a length")];
        reader.read_exact(&mut payload)?;
        payload.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
        if first & 0x70 != 0 && fault != Fault::TakesReservedBits {
            return close(reader, 1002, fault);
        }
        match first & 0x0f {
            0x1 => {
                if !take(reader, &payload, fault)? {
                    return Ok(());
                }
            }
            0x8 => return answer_close(reader, fault),
            0x9 => answer_ping(reader, &payload, fault)?,
            0xa => {}
            _ if fault == Fault::TakesReservedKinds => {}
            _ => return close(reader, 1002, fault),
        }
    }
}

/// A text; `false`: the connection ends.
fn take(reader: &mut BufReader<TcpStream>, payload: &[u8], fault: Fault) -> io::Result<bool> {
    let Ok(text) = std::str::from_utf8(payload) else {
        match fault {
            Fault::TakesWhatIsNotUtf8 => return Ok(true),
            Fault::Closes1002ForWhatIsNotUtf8 => close(reader, 1002, fault)?,
            _ => close(reader, 1007, fault)?,
        }
        return Ok(false);
    };
    if serde_json::from_str::<serde_json::Value>(text).is_err() && text.len() <= 1_000 {
        match fault {
            Fault::PassesOverWhatIsNotJson => {}
            Fault::HangsUpOnWhatIsNotJson => return Ok(false),
            _ => send(reader, 0x81, br#"{"error":"not JSON"}"#, fault)?,
        }
    }
    Ok(true)
}

fn answer_ping(reader: &mut BufReader<TcpStream>, payload: &[u8], fault: Fault) -> io::Result<()> {
    if fault == Fault::SendsDamagedDeflate {
        send(reader, 0xc1, &[0xff; 8], fault)?;
    }
    match fault {
        Fault::SendsNoPong => {}
        Fault::SendsAnotherPong => send(reader, 0x8a, b"another", fault)?,
        _ => send(reader, 0x8a, payload, fault)?,
    }
    // Its sign of life, whenever it hears of one.
    if fault == Fault::HasNoHeartbeat { Ok(()) } else { send(reader, 0x89, b"alive", fault) }
}

fn answer_close(reader: &mut BufReader<TcpStream>, fault: Fault) -> io::Result<()> {
    match fault {
        Fault::DoesNotAnswerAClose => {}
        Fault::StaysAfterAClose => send(reader, 0x88, &1000_u16.to_be_bytes(), fault)?,
        Fault::AnswersAnotherCode => return close(reader, 1001, fault),
        Fault::AnswersACodeThatIsNone => return close(reader, 1005, fault),
        _ => return close(reader, 1000, fault),
    }
    drain(reader)
}

/// Closes, and leaves nothing unread: else what was sent might be lost with a reset.
fn close(reader: &mut BufReader<TcpStream>, code: u16, fault: Fault) -> io::Result<()> {
    send(reader, 0x88, &code.to_be_bytes(), fault)?;
    reader.get_ref().shutdown(Shutdown::Write)?;
    drain(reader)
}

fn drain(reader: &mut BufReader<TcpStream>) -> io::Result<()> {
    io::copy(reader, &mut io::sink()).map(|_| ())
}

/// A short frame.
fn send(reader: &mut BufReader<TcpStream>, first: u8, payload: &[u8], fault: Fault) -> io::Result<()> {
    let len = u8::try_from(payload.len()).expect("short");
    let mut frame = vec![first, len];
    if fault == Fault::MasksItsFrames {
        frame[1] |= 0x80;
        // A mask of zeros changes nothing.
        frame.extend([0; 4]);
    }
    frame.extend(payload);
    reader.get_mut().write_all(&frame)
}
