//! The directory of the daemon's own control group, from the kernel's data about this process.

use std::fs;
use std::path::{Path, PathBuf};

/// Returns the directory of this process's group of version 2; `None` when there is none.
pub(super) fn own() -> Option<PathBuf> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    directory(&groups, &mounts)
}

fn directory(groups: &str, mounts: &str) -> Option<PathBuf> {
    let group = groups.lines().find_map(|line| line.strip_prefix("0::"))?;
    mounts.lines().filter_map(mount).find_map(|(root, at)| {
        // A part of the tree may be mounted alone, as in a container.
        let below = Path::new(group).strip_prefix(root).ok()?;
        Some(if below.as_os_str().is_empty() { at.to_path_buf() } else { at.join(below) })
    })
}

/// Returns root and mount point of a mount of version 2.
fn mount(line: &str) -> Option<(&Path, &Path)> {
    let (place, kind) = line.split_once(" - ")?;
    let mut fields = place.split(' ').skip(3);
    let (root, at) = (fields.next()?, fields.next()?);
    kind.starts_with("cgroup2 ").then_some((Path::new(root), Path::new(at)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_group_is_found_where_it_is_mounted() {
        let hybrid = "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n\
                      35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
                      41 31 0:38 / /sys/fs/cgroup/unified rw,relatime shared:9 - cgroup2 cgroup2 rw\n";
        let groups = "4:memory:/x\n0::/system.slice/fp.service\n";
        let found = directory(groups, hybrid).unwrap();
        assert_eq!(found, Path::new("/sys/fs/cgroup/unified/system.slice/fp.service"));
        let part = "30 1 0:26 /docker/abc /sys/fs/cgroup rw - cgroup2 cgroup rw\n";
        assert_eq!(directory("0::/docker/abc/x\n", part).unwrap(), Path::new("/sys/fs/cgroup/x"));
        assert_eq!(directory("0::/docker/abc\n", part).unwrap(), Path::new("/sys/fs/cgroup"));
        assert_eq!(directory("0::/elsewhere\n", part), None);
        assert_eq!(directory("4:memory:/\n", hybrid), None);
    }
}
