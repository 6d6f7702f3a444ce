//! How much memory the process has, and what follows from it: near the most that it may have nobody more is let in, over it
//! the newest are sent away, before the system ends the process with all of them.

use std::fs;

use crate::limits::{MEMORY_GROWTH_SHARE, MEMORY_REFUSE_SHARE, MEMORY_SHED_SHARE};

/// Bytes of the process that are in memory; `None` where the system does not tell.
pub(super) fn resident_bytes() -> Option<u64> {
    kibibytes(&fs::read_to_string("/proc/self/status").ok()?, "VmRSS:")
}

/// What the process may have if nothing is set: four fifths of the machine's memory, or of its container's.
pub(super) fn default_max() -> Option<u64> {
    let machine = kibibytes(&fs::read_to_string("/proc/meminfo").ok()?, "MemTotal:")?;
    let container = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"]
        .iter()
        .find_map(|path| fs::read_to_string(path).ok()?.trim().parse().ok());
    Some(container.unwrap_or(machine).min(machine) / 5 * 4)
}

fn kibibytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1024)
}

/// What is done about it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Measures {
    /// Nobody more is let in.
    pub(super) refuse: bool,
    /// How many of those that are in are sent away now.
    pub(super) shed: usize,
}

/// Follows the memory from look to look.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// What it had when some were last sent away. An allocator keeps what they held, and uses it before it asks for more:
    /// as long as the process does not grow, sending away more would gain nothing.
    shed_at: Option<u64>,
}

impl Watch {
    pub(super) fn look(&mut self, resident: u64, max: u64, sockets: usize) -> Measures {
        if resident <= max {
            self.shed_at = None;
        }
        let has_grown = self.shed_at.is_none_or(|at| resident > at + max / MEMORY_GROWTH_SHARE);
        let shed = if resident > max && has_grown {
            self.shed_at = Some(resident);
            sockets.div_ceil(MEMORY_SHED_SHARE)
        } else {
            0
        };
        Measures { refuse: resident > max - max / MEMORY_REFUSE_SHARE, shed }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_where_the_system_tells_it() {
        assert_eq!(kibibytes("Name:\tx\nVmRSS:\t    2048 kB\n", "VmRSS:"), Some(2 << 20));
        assert_eq!(kibibytes("VmRSS:\t x kB\n", "VmRSS:"), None);
        assert_eq!(kibibytes("", "VmRSS:"), None);
        if cfg!(target_os = "linux") {
            let (resident, max) = (resident_bytes().expect("told"), default_max().expect("told"));
            assert!(resident > 1 << 20 && max > resident, "{resident} of {max}");
        }
    }

    #[test]
    fn near_the_most_nobody_comes_in_and_over_it_the_newest_go_while_it_grows() {
        let mut watch = Watch::default();
        let mut look = |resident| {
            let Measures { refuse, shed } = watch.look(resident, 1_024_000, 160);
            (refuse, shed)
        };
        assert_eq!(look(500_000), (false, 0));
        assert_eq!(look(896_000), (false, 0), "seven eighths");
        assert_eq!(look(896_001), (true, 0));
        assert_eq!(look(1_024_000), (true, 0));
        assert_eq!(look(1_024_001), (true, 10), "a sixteenth");
        assert_eq!(look(1_024_001), (true, 0), "it does not grow");
        assert_eq!(look(1_028_001), (true, 0), "hardly");
        assert_eq!(look(1_028_002), (true, 10));
        assert_eq!(look(1_000_000), (true, 0));
        assert_eq!(look(1_024_001), (true, 10), "again");
        assert_eq!(look(500_000), (false, 0));
        assert_eq!(Watch::default().look(2, 1, 1), Measures { refuse: true, shed: 1 });
        assert_eq!(Watch::default().look(2, 1, 0), Measures { refuse: true, shed: 0 });
    }
}
