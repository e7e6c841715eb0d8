//! Limits of the control group of a running daemon, or else of the caller. Supports cgroups version 2 only.

use std::fs;
use std::path::{Path, PathBuf};

use crate::instances;

const ROOT: &str = "/sys/fs/cgroup";

/// The tightest limits between the group and the root group.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Limits {
    /// The limit and the usage, in bytes.
    pub(super) memory: Option<(u64, u64)>,
    /// In CPUs.
    pub(super) cpus: Option<f64>,
}

impl Limits {
    /// Reads the limits; a limit that cannot be read is treated as none.
    pub(super) fn read() -> Self {
        let daemon = instances().first().map(|found| found.properties.pid.to_string());
        let process = daemon.unwrap_or_else(|| "self".to_owned());
        let group = fs::read_to_string(format!("/proc/{process}/cgroup")).unwrap_or_default();
        let way = group.lines().find_map(|line| line.strip_prefix("0::/")).unwrap_or_default();
        Self::on_the_way(Path::new(ROOT), &Path::new(ROOT).join(way))
    }

    fn on_the_way(root: &Path, group: &Path) -> Self {
        let groups: Vec<PathBuf> =
            group.ancestors().take_while(|dir| dir.starts_with(root)).map(Path::to_path_buf).collect();
        let read = |dir: &Path, name: &str| fs::read_to_string(dir.join(name)).unwrap_or_default();
        let memory = groups.iter().filter_map(|dir| {
            let most = read(dir, "memory.max").trim().parse::<u64>().ok()?;
            Some((most, read(dir, "memory.current").trim().parse().unwrap_or_default()))
        });
        let cpus = groups.iter().filter_map(|dir| cpus(&read(dir, "cpu.max")));
        Self { memory: memory.min(), cpus: cpus.min_by(f64::total_cmp) }
    }
}

/// Parses `QUOTA PERIOD` or `max PERIOD`.
fn cpus(text: &str) -> Option<f64> {
    let (quota, period) = text.trim().split_once(' ')?;
    Some(quota.parse::<f64>().ok()? / period.parse::<f64>().ok().filter(|period| *period > 0.0)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tightest_limit_on_the_way_counts() {
        let root = std::env::temp_dir().join(format!("fp-cgroup-{}", std::process::id()));
        let group = root.join("system.slice/daemon.service");
        fs::create_dir_all(&group).unwrap();
        for (dir, name, text) in [
            ("system.slice", "memory.max", "4096\n"),
            ("system.slice", "memory.current", "1000\n"),
            ("system.slice", "cpu.max", "300000 100000\n"),
            ("system.slice/daemon.service", "memory.max", "max\n"),
            ("system.slice/daemon.service", "cpu.max", "50000 100000\n"),
        ] {
            fs::write(root.join(dir).join(name), text).unwrap();
        }
        let limits = Limits::on_the_way(&root, &group);
        assert_eq!(limits, Limits { memory: Some((4096, 1000)), cpus: Some(0.5) });
        fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn a_quota_is_a_number_of_processors() {
        assert_eq!(cpus("150000 100000\n"), Some(1.5));
        assert_eq!(cpus("max 100000\n"), None);
        assert_eq!(cpus(""), None);
    }
}
