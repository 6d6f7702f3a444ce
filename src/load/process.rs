//! The CPU time of a process.

use std::path::PathBuf;
use std::time::Duration;

/// The unit of the times in `/proc/PID/stat` is the kernel's `USER_HZ`, part of its interface to programs: 100 a second on
/// every architecture that Rust's Linux targets have. `sysconf` would say the same, at the price of a dependency.
const TICK: Duration = Duration::from_millis(10);

/// A process of this machine.
#[derive(Debug)]
pub(super) struct Process {
    stat: PathBuf,
}

/// Why there is no CPU time.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// No such process, or no `/proc`.
    #[error("cannot read the CPU time of the process from {}: {source}", path.display())]
    Read {
        /// Where it should be.
        path: PathBuf,
        /// Why it cannot be read.
        source: std::io::Error,
    },
    /// Not what Linux writes.
    #[error("{} is not as proc(5) says: {found}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is in it.
        found: String,
    },
}

impl Process {
    /// # Errors
    /// [`ProcessError`] when there is none with that number.
    pub(super) fn of(pid: u32) -> Result<Self, ProcessError> {
        Self::at(format!("/proc/{pid}/stat").into())
    }

    pub(super) fn ourselves() -> Result<Self, ProcessError> {
        Self::at("/proc/self/stat".into())
    }

    fn at(stat: PathBuf) -> Result<Self, ProcessError> {
        let process = Self { stat };
        process.cpu()?;
        Ok(process)
    }

    /// User and system time of all its threads since it was started, in steps of 10 ms.
    pub(super) fn cpu(&self) -> Result<Duration, ProcessError> {
        let text = std::fs::read_to_string(&self.stat)
            .map_err(|source| ProcessError::Read { path: self.stat.clone(), source })?;
        cpu_of(&text).ok_or_else(|| ProcessError::Malformed { path: self.stat.clone(), found: text })
    }
}

/// proc(5): field 2 is the name in parentheses, which may have spaces and parentheses itself; 14 and 15 are `utime` and
/// `stime`.
fn cpu_of(stat: &str) -> Option<Duration> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut times = after_name.split_ascii_whitespace().skip(14 - 3);
    let user: u32 = times.next()?.parse().ok()?;
    let system: u32 = times.next()?.parse().ok()?;
    TICK.checked_mul(user.checked_add(system)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_times_behind_any_name() {
        let stat = "4242 (a) (b 1 2) R 1 4242 4242 0 -1 4194304 97 0 0 0 123 45 6 7 20 0 3 0 1000 1 2 3";
        assert_eq!(cpu_of(stat), Some(Duration::from_millis(1_680)));
        for wrong in ["", "1 (x) R 1 2", "1 (x) R 1 2 3 4 5 6 7 8 9 10 x 12", "1 x R"] {
            assert_eq!(cpu_of(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_process_that_is_not_there_is_named() {
        let error = Process::of(u32::MAX).unwrap_err().to_string();
        assert!(error.contains("/proc/4294967295/stat"), "{error}");
    }
}
