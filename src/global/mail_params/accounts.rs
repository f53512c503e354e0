//! The accounts that the mail system is made of: mail_owner, default_privs and
//! setgid_group.
//!
//! What runs for one of them must not be able to touch what belongs to another
//! or to root. The original checks this in every daemon, and so does this one:
//! a process may become mail_owner only when that is somebody of its own.

use std::io;

use super::bad_value;
use crate::global::mail_conf::MailConf;
use crate::global::mail_version::MailVersion;
use crate::util::printable::printable;
use crate::util::strerror::strerror;
use crate::util::sys_gr::{getgrgid, getgrnam, Group};
use crate::util::sys_pw::{getpwnam, getpwuid, Passwd};

/// Looks up the three accounts by their names and checks them. Returns
/// mail_owner; an error is the text of a fatal message.
pub fn check_accounts(
    conf: &MailConf,
    default_privs: &[u8],
    mail_owner: &[u8],
    setgid_group: &[u8],
) -> Result<Passwd, String> {
    let privs = user(conf, "default_privs", default_privs)?;
    let owner = user(conf, "mail_owner", mail_owner)?;
    alone_with_user_id(conf, &owner)?;
    let group = group(conf, setgid_group)?;
    alone_with_group_id(conf, &group)?;
    different(&privs, &owner, &group)
        .map_err(|problem| format!("file {}: {problem}", conf.path()))?;
    Ok(owner)
}

/// A user without privileges.
fn user(conf: &MailConf, parameter: &str, name: &[u8]) -> Result<Passwd, String> {
    let bad = |problem: String| bad_value(conf, parameter, &problem);
    let text = printable(name);
    let user = getpwnam(name)
        .map_err(|error| bad(cannot_look_up("user", name, &error)))?
        .ok_or_else(|| bad(format!("unknown user name value: {text}")))?;
    if user.uid == 0 {
        return Err(bad(format!("user {text} has privileged user ID")));
    }
    if user.gid == 0 {
        return Err(bad(format!("user {text} has privileged group ID")));
    }
    Ok(user)
}

/// A group without privileges: setgid_group.
fn group(conf: &MailConf, name: &[u8]) -> Result<Group, String> {
    let bad = |problem: String| bad_value(conf, "setgid_group", &problem);
    let text = printable(name);
    let group = getgrnam(name)
        .map_err(|error| bad(cannot_look_up("group", name, &error)))?
        .ok_or_else(|| bad(format!("unknown group name: {text}")))?;
    if group.gid == 0 {
        return Err(bad(format!("group {text} has privileged group ID")));
    }
    Ok(group)
}

fn alone_with_user_id(conf: &MailConf, owner: &Passwd) -> Result<(), String> {
    let bad = |problem: String| bad_value(conf, "mail_owner", &problem);
    let name = owner.name.as_bytes();
    match getpwuid(owner.uid).map_err(|error| bad(cannot_look_up("user", name, &error)))? {
        Some(other) if other.name != owner.name => {
            let other = other.name.as_bytes();
            let version = conf.mail_version();
            Err(bad(same_number(version, "user", name, owner.uid, other)))
        }
        _ => Ok(()),
    }
}

fn alone_with_group_id(conf: &MailConf, group: &Group) -> Result<(), String> {
    let bad = |problem: String| bad_value(conf, "setgid_group", &problem);
    let name = group.name.as_bytes();
    match getgrgid(group.gid).map_err(|error| bad(cannot_look_up("group", name, &error)))? {
        Some(other) if other.name != group.name => {
            let other = other.name.as_bytes();
            let version = conf.mail_version();
            Err(bad(same_number(version, "group", name, group.gid, other)))
        }
        _ => Ok(()),
    }
}

fn cannot_look_up(kind: &str, name: &[u8], error: &io::Error) -> String {
    let text = printable(name);
    format!("cannot look up {kind} {text}: {}", strerror(error))
}

/// What is said of two names with one number.
fn same_number(version: MailVersion, kind: &str, name: &[u8], number: u32, other: &[u8]) -> String {
    let (name, other) = (printable(name), printable(other));
    match version.names_numbers_of_accounts() {
        true => format!("{kind} {name} has the same {kind} ID {number} as {kind} {other}"),
        false => format!("{kind} {name} has same {kind} ID as {other}"),
    }
}

/// Whether no two of the three are the same or share a group.
fn different(privs: &Passwd, owner: &Passwd, group: &Group) -> Result<(), String> {
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
