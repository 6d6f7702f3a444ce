//! A capture file of connections that nobody had to listen in on: what went over them, in headers made for it.

use std::net::{Ipv4Addr, SocketAddrV4};

/// Who sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum From {
    Client,
    Server,
}

/// The classic format of pcap, of Ethernet frames: <https://www.tcpdump.org/manpages/pcap-savefile.5.html>.
pub(crate) struct Capture {
    bytes: Vec<u8>,
    packets: u32,
}

/// One TCP connection of it.
pub(crate) struct Connection {
    client: SocketAddrV4,
    server: SocketAddrV4,
    /// The next byte's number, of the client and of the server.
    next: [u32; 2],
}

const SYN: u8 = 0x02;
const PUSH: u8 = 0x08;
const ACK: u8 = 0x10;
/// What fits in an Ethernet frame, as it mostly comes.
const SEGMENT: usize = 1_400;

impl Capture {
    pub(crate) fn new() -> Self {
        let mut bytes = Vec::new();
        bytes.extend(0xa1b2_c3d4_u32.to_le_bytes());
        bytes.extend([2, 0, 4, 0]);
        bytes.extend([0; 8]);
        bytes.extend(65_535_u32.to_le_bytes());
        bytes.extend(1_u32.to_le_bytes());
        Self { bytes, packets: 0 }
    }

    /// A connection that begins here, from that port of the client's.
    pub(crate) fn connect(&mut self, port: u16) -> Connection {
        let client = SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 1), port);
        let server = SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 2), 8_080);
        let mut connection = Connection { client, server, next: [1_000, 2_000] };
        self.segment(&mut connection, From::Client, SYN, &[]);
        self.segment(&mut connection, From::Server, SYN | ACK, &[]);
        self.segment(&mut connection, From::Client, ACK, &[]);
        connection
    }

    /// Bytes that one side sent.
    pub(crate) fn send(&mut self, connection: &mut Connection, from: From, bytes: &[u8]) {
        for segment in bytes.chunks(SEGMENT) {
            self.segment(connection, from, PUSH | ACK, segment);
        }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn segment(&mut self, connection: &mut Connection, from: From, flags: u8, payload: &[u8]) {
        let (mine, other) = (from as usize, 1 - from as usize);
        let ends = [connection.client, connection.server];
        let length = |headers: usize| u16::try_from(headers + payload.len()).expect("a segment");
        let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x08, 0x00];
        frame.extend([0x45, 0]);
        frame.extend(length(40).to_be_bytes());
        // No fragment; 64 hops; TCP; no checksum, which Wireshark does not look at unless it is told to.
        frame.extend([0, 0, 0x40, 0, 64, 6, 0, 0]);
        frame.extend(ends[mine].ip().octets());
        frame.extend(ends[other].ip().octets());
        frame.extend(ends[mine].port().to_be_bytes());
        frame.extend(ends[other].port().to_be_bytes());
        frame.extend(connection.next[mine].to_be_bytes());
        let acknowledged = if flags & ACK == 0 { 0 } else { connection.next[other] };
        frame.extend(acknowledged.to_be_bytes());
        frame.extend([0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
        frame.extend(payload);

        let size = u32::try_from(frame.len()).expect("a frame").to_le_bytes();
        // A millisecond after the one before.
        self.bytes.extend((1_763_848_800 + self.packets / 1_000).to_le_bytes());
        self.bytes.extend((self.packets % 1_000 * 1_000).to_le_bytes());
        self.bytes.extend(size);
        self.bytes.extend(size);
        self.bytes.extend(frame);
        self.packets += 1;
        let advance = u32::try_from(payload.len()).expect("a segment") + u32::from(flags & SYN != 0);
        connection.next[mine] = connection.next[mine].wrapping_add(advance);
    }
}
