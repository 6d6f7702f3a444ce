//! Finds the UDP datagram in a packet: Ethernet with VLAN tags and the other kinds of link that captures have; IPv4
//! and IPv6.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::Range;

use crate::limits::VLAN_TAGS_MAX;

const LINK_NULL: u32 = 0;
const LINK_ETHERNET: u32 = 1;
const LINK_RAW: u32 = 101;
/// What BSDs call [`LINK_RAW`].
const LINKS_RAW_BSD: [u32; 2] = [12, 14];
const LINK_LOOP: u32 = 108;
const LINK_LINUX: u32 = 113;
const LINK_IPV4: u32 = 228;
const LINK_IPV6: u32 = 229;
const LINK_LINUX_2: u32 = 276;

const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_IPV6: u16 = 0x86dd;
/// IEEE 802.1Q, 802.1ad, and what came before that.
const ETHERTYPES_VLAN: [u16; 3] = [0x8100, 0x88a8, 0x9100];

const PROTOCOL_UDP: u8 = 17;
const UDP_BYTES: usize = 8;
const IPV4_BYTES: usize = 20;
const IPV6_BYTES: usize = 40;
/// More fragments to come, or an offset.
const IPV4_FRAGMENT: u16 = 0x3fff;
/// Hop-by-hop, routing, destination options: each tells its length in the same way.
const IPV6_EXTENSIONS: [u8; 3] = [0, 43, 60];
const IPV6_EXTENSIONS_MAX: usize = 8;

/// A datagram in a packet.
pub(super) struct Found {
    /// Where it was sent.
    pub(super) to: SocketAddr,
    /// Where its payload is, as far as it was captured.
    pub(super) payload: Range<usize>,
    /// Bytes of the payload that were not captured.
    pub(super) cut: usize,
}

/// `None`: no UDP, a fragment, or lengths that contradict each other. `missing` bytes of the packet were not captured.
pub(super) fn find(link: u32, packet: &[u8], missing: usize) -> Option<Found> {
    let (network, start) = network(link, packet)?;
    let (address, udp, end) = match network {
        Network::V4 => ipv4(packet, start)?,
        Network::V6 => ipv6(packet, start)?,
    };
    let head = packet.get(udp..udp + UDP_BYTES)?;
    let port = u16::from_be_bytes([head[2], head[3]]);
    let length = usize::from(u16::from_be_bytes([head[4], head[5]]));
    let stop = udp + length;
    // The rest of the packet is padding. What the network layer says to be there must hold the datagram.
    if length < UDP_BYTES || stop > end || stop > packet.len() + missing {
        return None;
    }
    let captured = stop.min(packet.len());
    Some(Found {
        to: SocketAddr::new(address, port),
        payload: udp + UDP_BYTES..captured,
        cut: stop - captured,
    })
}

enum Network {
    V4,
    V6,
}

/// Which network protocol a packet carries, and where it begins.
fn network(link: u32, packet: &[u8]) -> Option<(Network, usize)> {
    match link {
        LINK_ETHERNET => ethertype(packet, 12),
        LINK_LINUX => ethertype(packet, 14),
        LINK_LINUX_2 => by_ethertype(number(packet, 0)?, 20),
        LINK_NULL | LINK_LOOP => by_version(packet, 4),
        LINK_RAW | LINK_IPV4 | LINK_IPV6 => by_version(packet, 0),
        link if LINKS_RAW_BSD.contains(&link) => by_version(packet, 0),
        _ => None,
    }
}

/// An ethertype at `at`, behind any VLAN tags.
fn ethertype(packet: &[u8], mut at: usize) -> Option<(Network, usize)> {
    for _ in 0..=VLAN_TAGS_MAX {
        let kind = number(packet, at)?;
        if !ETHERTYPES_VLAN.contains(&kind) {
            return by_ethertype(kind, at + 2);
        }
        at += 4;
    }
    None
}

fn by_ethertype(kind: u16, start: usize) -> Option<(Network, usize)> {
    match kind {
        ETHERTYPE_IPV4 => Some((Network::V4, start)),
        ETHERTYPE_IPV6 => Some((Network::V6, start)),
        _ => None,
    }
}

/// By the version that IP itself tells: these links name it in the sender's byte order and numbering, or not at all.
fn by_version(packet: &[u8], start: usize) -> Option<(Network, usize)> {
    match packet.get(start)? >> 4 {
        4 => Some((Network::V4, start)),
        6 => Some((Network::V6, start)),
        _ => None,
    }
}

/// Where it was sent, where UDP begins, and where the IP packet ends.
fn ipv4(packet: &[u8], start: usize) -> Option<(IpAddr, usize, usize)> {
    let head = packet.get(start..start + IPV4_BYTES)?;
    let header_bytes = usize::from(head[0] & 0x0f) * 4;
    let is_fragment = number(head, 6)? & IPV4_FRAGMENT != 0;
    if head[0] >> 4 != 4 || header_bytes < IPV4_BYTES || is_fragment || head[9] != PROTOCOL_UDP {
        return None;
    }
    let address = Ipv4Addr::new(head[16], head[17], head[18], head[19]);
    Some((address.into(), start + header_bytes, start + usize::from(number(head, 2)?)))
}

fn ipv6(packet: &[u8], start: usize) -> Option<(IpAddr, usize, usize)> {
    let head = packet.get(start..start + IPV6_BYTES)?;
    if head[0] >> 4 != 6 {
        return None;
    }
    let (mut next, mut at) = (head[6], start + IPV6_BYTES);
    let end = at + usize::from(number(head, 4)?);
    for _ in 0..IPV6_EXTENSIONS_MAX {
        if !IPV6_EXTENSIONS.contains(&next) {
            break;
        }
        let extension = packet.get(at..at + 2)?;
        next = extension[0];
        at += (usize::from(extension[1]) + 1) * 8;
    }
    let address = Ipv6Addr::from(<[u8; 16]>::try_from(&head[24..40]).ok()?);
    (next == PROTOCOL_UDP).then_some((address.into(), at, end))
}

fn number(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]))
}
