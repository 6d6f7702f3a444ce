//! Frames that no client should send: RFC 6455 sections 5 and 8, RFC 7692 section 6.

use std::io::{BufReader, Write};
use std::net::SocketAddr;

use flate2::{Compress, Compression, FlushCompress};

use super::attack::{Attack, Outcome, attack, outcome, send_frames};
use crate::service::http;
use crate::service::raw::{CLOSE, FIN, RawClient, TEXT, frame};
use crate::service::rude::{BINARY, CONTINUATION, PING};
use crate::service::upgrade::HANDSHAKE;

const RSV1: u8 = 0x40;
const MESSAGE_BYTES_MAX: usize = 1024 * 1024;

pub(crate) fn attacks() -> Vec<Attack> {
    let mut attacks = Vec::new();
    let mut add = |name, ends, bytes: Vec<u8>| {
        attacks.push(attack(name, ends, move |address| send_frames(address, &bytes)));
    };
    let large = vec![b' '; MESSAGE_BYTES_MAX + 1];
    add("a message over the limit", Outcome::Closed(1009), frame(FIN | TEXT, &large));
    add("a header that announces two gigabytes", Outcome::Closed(1009), length(0x7fff_ffff));
    add("a header that announces eight exabytes", Outcome::Closed(1009), length(i64::MAX as u64));
    add("a length with its highest bit", Outcome::Closed(1002), length(1 << 63));
    let mut pieces = frame(TEXT, &large[..64 * 1024]);
    for _ in 0..17 {
        pieces.extend(frame(CONTINUATION, &large[..64 * 1024]));
    }
    add("a message over the limit in pieces", Outcome::Closed(1009), pieces);
    for (name, payload) in [("empty pieces without end", &b""[..]), ("pieces of a byte without end", b" ")] {
        let mut pieces = frame(TEXT, payload);
        pieces.extend(frame(CONTINUATION, payload).repeat(2_000));
        add(name, Outcome::Closed(1009), pieces);
    }
    add("a frame that is not masked", Outcome::Closed(1002), b"\x81\x02{}".to_vec());
    add("text that is not UTF-8", Outcome::Closed(1007), frame(FIN | TEXT, b"{\"method\":\"\xc0\xaf\"}"));
    add("half a surrogate in UTF-8", Outcome::Closed(1007), frame(FIN | TEXT, b"\xed\xa0\x80"));
    let cut = [frame(TEXT, b"\xf0\x9f"), frame(FIN | CONTINUATION, b"\x92")].concat();
    add("a character that is cut off by the end", Outcome::Closed(1007), cut);
    for (name, bit) in [("the first reserved bit", 0x40), ("the second", 0x20), ("the third", 0x10)] {
        add(name, Outcome::Closed(1002), frame(FIN | bit | TEXT, b"{}"));
    }
    for (name, opcode) in [("opcode 3", 3), ("opcode 7", 7), ("opcode 11", 11), ("opcode 15", 15)] {
        add(name, Outcome::Closed(1002), frame(FIN | opcode, b""));
    }
    add("a ping of 126 bytes", Outcome::Closed(1002), frame(FIN | PING, &[b'x'; 126]));
    add("a ping of a megabyte", Outcome::Closed(1002), frame(FIN | PING, &large));
    add("a ping in pieces", Outcome::Closed(1002), frame(PING, b""));
    add("a close frame of one byte", Outcome::Closed(1002), frame(FIN | CLOSE, b"\x03"));
    for (name, code) in [
        ("close code 0", 0_u16),
        ("close code 1005", 1005),
        ("close code 1015", 1015),
        ("close code 65535", 65535),
    ] {
        add(name, Outcome::Closed(1002), frame(FIN | CLOSE, &code.to_be_bytes()));
    }
    add("a close reason that is not UTF-8", Outcome::Closed(1007), frame(FIN | CLOSE, b"\x03\xe8\xff"));
    add("a continuation of nothing", Outcome::Closed(1002), frame(FIN | CONTINUATION, b"{}"));
    let two = [frame(TEXT, b"{"), frame(FIN | BINARY, b"{}")].concat();
    add("a message within a message", Outcome::Closed(1002), two);
    add(
        "a hundred thousand pings that nobody reads the answers of",
        Outcome::Served,
        frame(FIN | PING, &[b'x'; 125]).repeat(20_000),
    );

    let mut add_compressed = |name, ends, bytes: Vec<u8>| {
        attacks.push(attack(name, ends, move |address| outcome(&mut compressing(address), &bytes)));
    };
    let bomb = deflate(&vec![b' '; 64 * MESSAGE_BYTES_MAX]);
    assert!(bomb.len() < 100_000, "{}", bomb.len());
    add_compressed("64 MiB that come as 64 KiB", Outcome::Closed(1009), frame(FIN | RSV1 | TEXT, &bomb));
    let mut pieces = frame(RSV1 | TEXT, &bomb[..1_000]);
    for piece in bomb[1_000..].chunks(1_000) {
        pieces.extend(frame(CONTINUATION, piece));
    }
    add_compressed(
        "the same in pieces",
        Outcome::Closed(1009),
        [pieces, frame(FIN | CONTINUATION, b"")].concat(),
    );
    add_compressed(
        "a block of a kind that there is none",
        Outcome::Closed(1007),
        frame(FIN | RSV1 | TEXT, &[0xff; 64]),
    );
    let mut damaged = deflate(br#"{"method":"ping","req_id":"damaged"}"#);
    damaged[3] ^= 0x55;
    add_compressed("damaged deflate", Outcome::Closed(1007), frame(FIN | RSV1 | TEXT, &damaged));
    add_compressed("a compressed ping", Outcome::Closed(1002), frame(FIN | RSV1 | PING, b""));
    let late = [frame(TEXT, b""), frame(FIN | RSV1 | CONTINUATION, b"")].concat();
    add_compressed("a continuation that says it is compressed", Outcome::Closed(1002), late);
    // References that lie before the beginning: distance 32,768 as the first thing.
    let before = [0x02, 0xfe, 0xff, 0xff];
    add_compressed(
        "a reference to before the beginning",
        Outcome::Closed(1007),
        frame(FIN | RSV1 | TEXT, &before),
    );
    attacks
}

/// A header of a text frame with that length, and a little of the payload.
fn length(bytes: u64) -> Vec<u8> {
    let mut header = vec![FIN | TEXT, 0x80 | 127];
    header.extend(bytes.to_be_bytes());
    header.extend(b"mask");
    header.extend(b"payload");
    header
}

fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut deflater = Compress::new(Compression::best(), false);
    let mut compressed = Vec::with_capacity(bytes.len() / 100 + 1_000);
    deflater.compress_vec(bytes, &mut compressed, FlushCompress::Sync).expect("bytes");
    // The tail of RFC 7692 section 7.2.1.
    compressed.truncate(compressed.len() - 4);
    compressed
}

/// A connection that may send compressed messages.
fn compressing(address: SocketAddr) -> RawClient {
    let offer = HANDSHAKE.replace("\r\n\r\n", "\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n");
    let mut reader = BufReader::new(http::connect(address));
    reader.get_mut().write_all(offer.as_bytes()).expect("the service reads");
    let response = http::read_response(&mut reader, "GET");
    assert!(response.header("sec-websocket-extensions").contains("permessage-deflate"), "{response:?}");
    RawClient { reader }
}
