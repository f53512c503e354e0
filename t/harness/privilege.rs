//! What this process may do, as the kernel sees it: fakeroot says that
//! everybody is root, and root of a user namespace may have nobody to become.

use std::fs;
use std::sync::OnceLock;

/// What the tests do as root, by the numbers of capabilities(7): to chown, to
/// look into and to send signals to everything, to become any account, and to
/// enter a jail.
const CAPABILITIES_OF_ROOT: [u32; 7] = [0, 1, 3, 5, 6, 7, 18];

/// The accounts that tests become, daemon and nobody.
const ACCOUNTS: [u64; 2] = [1, 65534];

/// May this process become any account and enter a jail?
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

/// Is this process one that may do no more than any account?
pub fn is_ordinary() -> bool {
    match capabilities() {
        Some(set) => set == 0,
        None => !is_called_root(),
    }
}

/// The set of capabilities in effect; nothing on systems without them.
fn capabilities() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let text = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    u64::from_str_radix(text?.trim(), 16).ok()
}

/// Does this user namespace have the accounts, and let a process become them?
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

/// Is that number in one of the ranges: first one inside, outside, how many?
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
