//! A temporary directory for each daemon, removed when dropped. It is below $TMPDIR
//! if that is suitable.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::OnceLock;

use super::sys;

/// Maximum length in bytes of the name of the directory above: the name of a socket
/// has at most 103 on some systems.
const MAX_LENGTH: usize = 40;

/// The directory, readable by the user that the daemon becomes.
pub struct Directory {
    path: PathBuf,
}

impl Directory {
    /// Makes a new one. Its name is short, because it becomes part of the name of a
    /// socket.
    pub fn new() -> io::Result<Directory> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        loop {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let path = parent().join(format!("scache-{}-{number}", std::process::id()));
            match fs::create_dir(&path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                result => result?,
            }
            fs::set_permissions(&path, Permissions::from_mode(0o755))?;
            return Ok(Directory { path });
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// The directory above: the first of $TMPDIR, /tmp and /var/tmp that is suitable.
fn parent() -> &'static Path {
    static PARENT: OnceLock<PathBuf> = OnceLock::new();
    PARENT.get_or_init(|| {
        sys::set_usual_umask();
        sys::inherit_none();
        let given = std::env::var_os("TMPDIR").map(PathBuf::from);
        let usual = ["/tmp", "/var/tmp"].map(PathBuf::from);
        let mut paths = given.into_iter().chain(usual);
        let found = paths.find(|path| is_suitable(path));
        found.expect("a directory for temporary files")
    })
}

/// Returns true if names of sockets below `path` are short enough, absolute and valid in
/// main.cf and LD_PRELOAD, and if the account that the daemon becomes can use them.
fn is_suitable(path: &Path) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-+".contains(&byte);
    let name = path.as_os_str().as_bytes();
    let open_to_all = |path: &Path| {
        fs::metadata(path).is_ok_and(|data| data.mode() & 0o001 != 0 && data.is_dir())
    };
    name.len() <= MAX_LENGTH
        && name.iter().copied().all(plain)
        && path.is_absolute()
        && path.ancestors().all(open_to_all)
        && is_writable(path)
}

fn is_writable(path: &Path) -> bool {
    let probe = path.join(format!("scache-{}", std::process::id()));
    fs::create_dir(&probe)
        .and_then(|()| fs::remove_dir(&probe))
        .is_ok()
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}
