//! `tickwire check-config`.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use feeds::record::RecordReader;

use super::serve::Args;
use crate::config::{self, Config};
use crate::service::Settings;
#[cfg(feature = "otlp")]
use crate::traces::Exporter;

/// Prints the settings as a `tickwire.toml` that gives the same, after checking them, and the files that they name. Opens
/// no port, connects to nothing, and leaves nothing behind.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let config = config::load(args.config.as_deref(), args)?;
    let settings = config.settings()?;
    let problems = problems(&config, &settings);
    if !problems.is_empty() {
        for problem in problems {
            eprintln!("tickwire: {problem:#}");
        }
        return Ok(ExitCode::FAILURE);
    }
    let mut text = toml::to_string(&config).context("the settings cannot be shown")?;
    if config.shards == 0 {
        text.insert_str(0, &format!("# shards: 0 means one a core, here {}\n", settings.shards));
    }
    write!(io::stdout(), "{text}").context("cannot write to standard output")?;
    Ok(ExitCode::SUCCESS)
}

/// What is wrong with the files, all of it.
fn problems(config: &Config, settings: &Settings) -> Vec<anyhow::Error> {
    let certificate = settings.tls.as_ref().map_or(Ok(()), |files| files.check().map_err(Into::into));
    let recordings = match config.replay_files() {
        Ok(Some(_)) => config.open(None).map(drop).map_err(Into::into),
        Ok(None) => Ok(()),
        Err(error) => Err(error.into()),
    };
    let folder = match config.record.as_str() {
        "" => Ok(()),
        folder => check_folder(Path::new(folder)).with_context(|| format!("record = `{folder}`")),
    };
    let identity = settings.auth.problems().into_iter().map(Into::into);
    let traces = match config.traces() {
        #[cfg(feature = "otlp")]
        Ok(Some(settings)) => Exporter::check(&settings).map_err(Into::into),
        Ok(_) => Ok(()),
        Err(error) => Err(error.into()),
    };
    [certificate, recordings, folder, traces].into_iter().filter_map(Result::err).chain(identity).collect()
}

/// Whether a recorder could write there: into the folder, or the nearest one above that there is.
fn check_folder(folder: &Path) -> anyhow::Result<()> {
    let there = folder.ancestors().find(|path| path.exists()).unwrap_or(Path::new("."));
    let there = if there.as_os_str().is_empty() { Path::new(".") } else { there };
    if !there.is_dir() {
        anyhow::bail!("{} is no folder", there.display());
    }
    check_writable(there).with_context(|| format!("{} cannot be written", there.display()))?;
    if there == folder {
        let lock = fs::File::open(folder).with_context(|| folder.display().to_string())?;
        lock.try_lock().map_err(|_| anyhow::anyhow!("another process records into {}", folder.display()))?;
        match RecordReader::open(folder) {
            // Nothing was recorded in it yet.
            Ok(_) | Err(feeds::FeedError::UnknownFormat { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// The permissions of a folder do not tell it: of the disk's, the user's and the system's, all must allow it.
fn check_writable(folder: &Path) -> io::Result<()> {
    let path = folder.join(format!(".tickwire-check-{}", std::process::id()));
    OpenOptions::new().write(true).create_new(true).open(&path)?;
    fs::remove_file(path)
}
