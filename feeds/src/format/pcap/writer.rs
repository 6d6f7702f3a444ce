//! Builds packet captures for tests.

use std::path::{Path, PathBuf};

/// How a capture is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Container {
    Records { is_big_endian: bool, is_nanoseconds: bool },
    Blocks { is_big_endian: bool },
}

/// Each way there is.
pub(crate) const CONTAINERS: [Container; 6] = [
    Container::Records { is_big_endian: false, is_nanoseconds: false },
    Container::Records { is_big_endian: false, is_nanoseconds: true },
    Container::Records { is_big_endian: true, is_nanoseconds: false },
    Container::Records { is_big_endian: true, is_nanoseconds: true },
    Container::Blocks { is_big_endian: false },
    Container::Blocks { is_big_endian: true },
];

/// Nanoseconds, little-endian.
pub(crate) const NANOSECONDS: Container = Container::Records { is_big_endian: false, is_nanoseconds: true };

pub(crate) struct Writer {
    container: Container,
    pub(crate) bytes: Vec<u8>,
}

impl Writer {
    /// A capture of Ethernet; of nanoseconds where the container has a choice.
    pub(crate) fn new(container: Container) -> Self {
        Self::of_link(container, 1)
    }

    pub(crate) fn of_link(container: Container, link: u16) -> Self {
        let mut writer = Self { container, bytes: Vec::new() };
        match container {
            Container::Records { is_nanoseconds, .. } => {
                writer.u32(if is_nanoseconds { 0xa1b2_3c4d } else { 0xa1b2_c3d4 });
                writer.u16(2).u16(4).u32(0).u32(0).u32(262_144).u32(link.into());
            }
            Container::Blocks { .. } => {
                let mut body = writer.part();
                body.u32(0x1a2b_3c4d).u16(1).u16(0).u32(u32::MAX).u32(u32::MAX);
                writer.block(0x0a0d_0d0a, &body.bytes);
                writer.interface(link, &[(9, &[9])]);
            }
        }
        writer
    }

    /// An interface with options.
    pub(crate) fn interface(&mut self, link: u16, options: &[(u16, &[u8])]) -> &mut Self {
        let mut body = self.part();
        body.u16(link).u16(0).u32(0);
        for (code, value) in options {
            body.u16(*code).u16(value.len().try_into().expect("short"));
            body.bytes.extend_from_slice(value);
            body.pad();
        }
        body.u16(0).u16(0);
        self.block(1, &body.bytes)
    }

    /// A packet of the first interface, in nanoseconds.
    pub(crate) fn packet(&mut self, nanoseconds: i64, packet: &[u8]) -> &mut Self {
        self.cut_packet(nanoseconds, packet, packet.len())
    }

    /// A packet which was longer.
    pub(crate) fn cut_packet(&mut self, nanoseconds: i64, packet: &[u8], on_wire: usize) -> &mut Self {
        let time = u64::try_from(nanoseconds).expect("after 1970");
        match self.container {
            Container::Records { is_nanoseconds, .. } => {
                let unit = if is_nanoseconds { 1 } else { 1_000 };
                self.u32(number(time / 1_000_000_000)).u32(number(time % 1_000_000_000 / unit));
                self.u32(number(packet.len())).u32(number(on_wire));
                self.bytes.extend_from_slice(packet);
                self
            }
            Container::Blocks { .. } => self.block_packet(0, time, packet, on_wire),
        }
    }

    /// A packet block, in the units of its interface.
    pub(crate) fn block_packet(
        &mut self,
        interface: u32,
        units: u64,
        packet: &[u8],
        on_wire: usize,
    ) -> &mut Self {
        let mut body = self.part();
        body.u32(interface).u32(number(units >> 32)).u32(number(units & 0xffff_ffff));
        body.u32(number(packet.len())).u32(number(on_wire));
        body.bytes.extend_from_slice(packet);
        body.pad();
        // A comment, which nobody reads.
        body.u16(1).u16(3);
        body.bytes.extend_from_slice(b"abc\0");
        body.u16(0).u16(0);
        self.block(6, &body.bytes)
    }

    pub(crate) fn block(&mut self, kind: u32, body: &[u8]) -> &mut Self {
        let length = number(body.len() + 12);
        self.u32(kind).u32(length);
        self.bytes.extend_from_slice(body);
        self.u32(length)
    }

    pub(crate) fn save(&self, folder: &Path, name: &str) -> PathBuf {
        crate::format::itch::writer::Writer(self.bytes.clone()).save(folder, name)
    }

    fn part(&self) -> Self {
        Self { container: self.container, bytes: Vec::new() }
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    fn u16(&mut self, value: u16) -> &mut Self {
        self.put(&value.to_be_bytes())
    }

    fn u32(&mut self, value: u32) -> &mut Self {
        self.put(&value.to_be_bytes())
    }

    /// Numbers are in the file's byte order.
    fn put(&mut self, big_endian: &[u8]) -> &mut Self {
        let (Container::Records { is_big_endian, .. } | Container::Blocks { is_big_endian }) = self.container;
        if is_big_endian {
            self.bytes.extend(big_endian);
        } else {
            self.bytes.extend(big_endian.iter().rev());
        }
        self
    }
}

fn number<T: TryInto<u32, Error: std::fmt::Debug>>(value: T) -> u32 {
    value.try_into().expect("32 bits")
}

/// A UDP datagram, from port 9.
pub(crate) fn udp(port: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 9];
    bytes.extend(port.to_be_bytes());
    bytes.extend(length(payload, 8).to_be_bytes());
    bytes.extend([0, 0]);
    bytes.extend(payload);
    bytes
}

/// An IPv4 packet to 233.54.12.`line`.
pub(crate) fn ipv4(line: u8, udp: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x45, 0];
    bytes.extend(length(udp, 20).to_be_bytes());
    bytes.extend([0, 1, 0x40, 0, 64, 17, 0, 0, 10, 0, 0, 1, 233, 54, 12, line]);
    bytes.extend(udp);
    bytes
}

/// An IPv6 packet, with a hop-by-hop header.
pub(crate) fn ipv6(line: u8, udp: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x60, 0, 0, 0];
    bytes.extend(length(udp, 8).to_be_bytes());
    bytes.extend([0, 64]);
    bytes.extend([0; 15]);
    bytes.push(1);
    bytes.extend([0xff; 15]);
    bytes.push(line);
    bytes.extend([17, 0, 1, 4, 0, 0, 0, 0]);
    bytes.extend(udp);
    bytes
}

/// An Ethernet frame, behind VLAN tags, padded to the shortest there is.
pub(crate) fn ethernet(tags: &[u16], ethertype: u16, packet: &[u8]) -> Vec<u8> {
    let mut bytes = vec![1; 12];
    for tag in tags {
        bytes.extend(tag.to_be_bytes());
        bytes.extend([0, 5]);
    }
    bytes.extend(ethertype.to_be_bytes());
    bytes.extend(packet);
    bytes.resize(bytes.len().max(60), 0);
    bytes
}

/// A datagram in the usual frame.
pub(crate) fn frame(line: u8, port: u16, payload: &[u8]) -> Vec<u8> {
    ethernet(&[], 0x0800, &ipv4(line, &udp(port, payload)))
}

fn length(payload: &[u8], header: usize) -> u16 {
    (payload.len() + header).try_into().expect("short")
}
