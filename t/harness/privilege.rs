//! Tells whether this process has the privileges of root. geteuid(2) does not tell: it
//! returns 0 also under fakeroot, and in a user namespace without other accounts.

use std::fs;
use std::sync::OnceLock;

/// The capabilities that the tests use as root, as in capabilities(7): CAP_CHOWN,
/// CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_KILL, CAP_SETGID, CAP_SETUID, CAP_SYS_CHROOT.
const CAPABILITIES_OF_ROOT: [u32; 7] = [0, 1, 3, 5, 6, 7, 18];

/// The accounts that tests use: daemon and nobody.
const ACCOUNTS: [u64; 2] = [1, 65534];

/// Returns true if this process may become any account and enter a chroot jail.
pub fn is_root() -> bool {
    static ROOT: OnceLock<bool> = OnceLock::new();
    *ROOT.get_or_init(|| match capabilities() {
        Some(set) => {
            let has = |number: u32| set & 1 << number != 0;
            CAPABILITIES_OF_ROOT.into_iter().all(has) && accounts_exist()
        }
        None => is_called_root(),
    })
}

/// Returns true if this process has no capabilities.
pub fn is_ordinary() -> bool {
    match capabilities() {
        Some(set) => set == 0,
        None => !is_called_root(),
    }
}

/// The effective capabilities. None on systems without them.
fn capabilities() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let text = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    u64::from_str_radix(text?.trim(), 16).ok()
}

/// Returns true if this user namespace has the accounts and allows setgroups(2).
fn accounts_exist() -> bool {
    let setgroups = fs::read_to_string("/proc/self/setgroups").unwrap_or_default();
    setgroups.trim() != "deny"
        && ["/proc/self/uid_map", "/proc/self/gid_map"]
            .iter()
            .all(|map| {
                let map = fs::read_to_string(map).unwrap_or_default();
                ACCOUNTS.iter().all(|&account| is_mapped(&map, account))
            })
}

/// Returns true if `number` is in one of the ranges of a map. A range is three numbers:
/// the first account inside of the namespace, the first one outside, and the count.
fn is_mapped(map: &str, number: u64) -> bool {
    map.lines().any(|line| {
        let mut words = line.split_whitespace().map(|word| word.parse());
        match (words.next(), words.nth(1)) {
            (Some(Ok(first)), Some(Ok(count))) => (first..first + count).contains(&number),
            _ => false,
        }
    })
}

fn is_called_root() -> bool {
    // SAFETY: geteuid cannot fail and touches no memory.
    unsafe { libc::geteuid() == 0 }
}
