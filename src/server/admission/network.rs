//! Addresses, and networks of them.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

/// Addresses with the same first bits. IPv4 counts as the IPv6 addresses that stand for it (RFC 4291 section 2.5.5.2), so
/// that it does not matter which of the two a socket tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    first: u128,
    prefix: u32,
}

/// Bits before an IPv4 address.
const MAPPED_BITS: u32 = 96;

/// Why something is no network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NetworkError {
    /// No address, or no number of bits behind it.
    #[error("an address, or a network such as 10.0.0.0/8 or fd00::/8")]
    Form,
    /// The address has bits that the network does not.
    #[error("there are more bits in the address than the prefix has")]
    Host,
}

impl Network {
    /// Whether an address is in it.
    #[must_use]
    pub fn contains(self, address: IpAddr) -> bool {
        (bits(address) ^ self.first) & mask(self.prefix) == 0
    }
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let (address, prefix) = text.split_once('/').map_or((text, None), |(ip, bits)| (ip, Some(bits)));
        let address: IpAddr = address.parse().map_err(|_| NetworkError::Form)?;
        let (most, before) = if address.is_ipv4() { (32, MAPPED_BITS) } else { (128, 0) };
        let prefix = match prefix {
            None => most,
            Some(text) => {
                text.parse().ok().filter(|&prefix: &u32| prefix <= most).ok_or(NetworkError::Form)?
            }
        };
        let network = Self { first: bits(address), prefix: before + prefix };
        if network.first & !mask(network.prefix) != 0 {
            return Err(NetworkError::Host);
        }
        Ok(network)
    }
}

/// Several networks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Networks(Vec<Network>);

impl Networks {
    /// Whether an address is in one of them.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(address))
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<Network> for Networks {
    fn from_iter<I: IntoIterator<Item = Network>>(networks: I) -> Self {
        Self(networks.into_iter().collect())
    }
}

/// Whoever counts as one: an IPv4 address, or the /64 of an IPv6 address, which a single host has all of.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::server) struct Holder(u128);

impl From<IpAddr> for Holder {
    fn from(address: IpAddr) -> Self {
        let kept = if address.to_canonical().is_ipv4() { 128 } else { 64 };
        Self(bits(address) & mask(kept))
    }
}

impl fmt::Debug for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        IpAddr::V6(Ipv6Addr::from_bits(self.0)).to_canonical().fmt(f)
    }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

fn mask(prefix: u32) -> u128 {
    !u128::MAX.checked_shr(prefix).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn a_network_has_the_addresses_of_its_prefix() {
        for (network, inside, outside) in [
            ("10.0.0.0/8", "10.255.1.2", "11.0.0.0"),
            ("192.0.2.7", "192.0.2.7", "192.0.2.6"),
            ("192.0.2.0/31", "192.0.2.1", "192.0.2.2"),
            ("0.0.0.0/0", "255.255.255.255", "2001:db8::1"),
            ("fd00::/8", "fd12::1", "fe00::1"),
            ("::1", "::1", "::2"),
            ("10.0.0.0/8", "::ffff:10.1.1.1", "::10.1.1.1"),
            ("::ffff:10.0.0.0/104", "10.1.1.1", "11.1.1.1"),
        ] {
            let parsed: Network = network.parse().expect(network);
            assert!(parsed.contains(ip(inside)), "{network} {inside}");
            assert!(!parsed.contains(ip(outside)), "{network} {outside}");
        }
        assert!("::/0".parse::<Network>().expect("all").contains(ip("1.2.3.4")));
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in
            ["", "10", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "::/129", "localhost", "10.0.0.0/8/8"]
        {
            assert_eq!(text.parse::<Network>(), Err(NetworkError::Form), "{text:?}");
        }
        assert_eq!("10.0.0.1/8".parse::<Network>(), Err(NetworkError::Host));
    }

    #[test]
    fn a_host_with_a_whole_64_is_one_holder() {
        let holder = |text| Holder::from(ip(text));
        assert_eq!(holder("2001:db8:0:1::1"), holder("2001:db8:0:1:ffff::9"));
        assert_ne!(holder("2001:db8:0:1::1"), holder("2001:db8:0:2::1"));
        assert_ne!(holder("192.0.2.1"), holder("192.0.2.2"));
        assert_eq!(holder("192.0.2.1"), holder("::ffff:192.0.2.1"));
    }
}
