//! `accounts`: checks mail_owner, default_privs and setgid_group. A part of the
//! original's `mail_params`.
//!
//! The three accounts must not share a user or group ID with each other, or with root.
//! mail_owner must not share its user ID with any other user, and setgid_group its group
//! ID with any other group. Functions fail with the text of a fatal message.

use super::bad_value;
use crate::global::mail_conf::MailConf;
use crate::global::mail_version::MailVersion;
use crate::util::printable::printable;
use crate::util::sys_gr::{getgrgid, getgrnam, Group};
use crate::util::sys_pw::{getpwnam, getpwuid, Passwd};

/// Looks up the three accounts by name, and checks them. Returns mail_owner.
pub fn check_accounts(
    conf: &MailConf,
    default_privs: &[u8],
    mail_owner: &[u8],
    setgid_group: &[u8],
) -> Result<Passwd, String> {
    let privs = check_default_privs(conf, default_privs)?;
    let owner = check_mail_owner(conf, mail_owner)?;
    let group = check_sgid_group(conf, setgid_group)?;
    check_overlap(&privs, &owner, &group)
        .map_err(|problem| format!("file {}: {problem}", conf.path()))?;
    Ok(owner)
}

/// Looks up a user. Fails if its user or group ID is root's.
fn unprivileged_user(conf: &MailConf, parameter: &str, name: &[u8]) -> Result<Passwd, String> {
    let bad = |problem: String| bad_value(conf, parameter, &problem);
    let text = printable(name);
    let user = getpwnam(name).ok_or_else(|| bad(format!("unknown user name value: {text}")))?;
    if user.uid == 0 {
        return Err(bad(format!("user {text} has privileged user ID")));
    }
    if user.gid == 0 {
        return Err(bad(format!("user {text} has privileged group ID")));
    }
    Ok(user)
}

/// The original's `check_default_privs()`.
fn check_default_privs(conf: &MailConf, name: &[u8]) -> Result<Passwd, String> {
    unprivileged_user(conf, "default_privs", name)
}

/// Looks up a group. Fails if its ID is root's, or is shared with another group.
/// The original's `check_sgid_group()`.
fn check_sgid_group(conf: &MailConf, name: &[u8]) -> Result<Group, String> {
    let bad = |problem: String| bad_value(conf, "setgid_group", &problem);
    let text = printable(name);
    let group = getgrnam(name).ok_or_else(|| bad(format!("unknown group name: {text}")))?;
    if group.gid == 0 {
        return Err(bad(format!("group {text} has privileged group ID")));
    }
    match getgrgid(group.gid) {
        Some(other) if other.name != group.name => {
            let other = other.name.as_bytes();
            let version = conf.mail_version();
            Err(bad(same_id(version, "group", name, group.gid, other)))
        }
        _ => Ok(group),
    }
}

/// Looks up a user. Fails as [`unprivileged_user`] does, or if its user ID is shared
/// with another user.
/// The original's `check_mail_owner()`.
fn check_mail_owner(conf: &MailConf, name: &[u8]) -> Result<Passwd, String> {
    let owner = unprivileged_user(conf, "mail_owner", name)?;
    let bad = |problem: String| bad_value(conf, "mail_owner", &problem);
    match getpwuid(owner.uid) {
        Some(other) if other.name != owner.name => {
            let other = other.name.as_bytes();
            let version = conf.mail_version();
            Err(bad(same_id(version, "user", name, owner.uid, other)))
        }
        _ => Ok(owner),
    }
}

/// The message about two names with one ID.
fn same_id(version: MailVersion, kind: &str, name: &[u8], id: u32, other: &[u8]) -> String {
    let (name, other) = (printable(name), printable(other));
    match version.logs_ids_of_accounts() {
        true => format!("{kind} {name} has the same {kind} ID {id} as {kind} {other}"),
        false => format!("{kind} {name} has same {kind} ID as {other}"),
    }
}

/// Fails if two of the three share a name or an ID.
/// The original's `check_overlap()`.
fn check_overlap(privs: &Passwd, owner: &Passwd, group: &Group) -> Result<(), String> {
    let privs_name = printable(privs.name.as_bytes());
    let owner_name = printable(owner.name.as_bytes());
    let group_name = printable(group.name.as_bytes());
    let gid = group.gid;
    if privs.name == owner.name {
        return Err(format!(
            "parameters default_privs and mail_owner specify the same user {owner_name}"
        ));
    }
    if privs.uid == owner.uid {
        return Err(format!(
            "parameters default_privs and mail_owner: users {privs_name} and {owner_name} \
             have the same user ID: {}",
            owner.uid
        ));
    }
    if privs.gid == owner.gid {
        return Err(format!(
            "parameters default_privs and mail_owner: users {privs_name} and {owner_name} \
             have the same group ID: {}",
            owner.gid
        ));
    }
    for (parameters, user, name) in [
        ("default_privs and setgid_group", privs, privs_name),
        ("mail_owner and setgid_group", owner, owner_name),
    ] {
        if user.gid == gid {
            return Err(format!(
                "parameters {parameters}: user {name} and group {group_name} \
                 have the same group ID: {gid}"
            ));
        }
    }
    Ok(())
}
