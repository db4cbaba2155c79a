//! `granary keys`: who may ask a server, and for what. A running server follows at once.

use std::num::NonZeroU32;

use clap::Subcommand;
use granary_storage::DataDir;
use serde_json::json;

use super::context::Common;
use crate::control::{self, Request};
use crate::service::access::{KeyFile, Role, Roles};

/// Make, list and remove API keys; once there is one, nobody comes in without
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  granary keys add shop --role read,predict   prints the key, once; only its hash is kept
  granary keys add loader --role write
  granary keys add crm --role read --group user_profile_features
  granary keys add partner --role read --rate 50
  granary keys rm shop
  curl -H 'Authorization: Bearer shop.4f1a…' http://127.0.0.1:8000/features/7
  redis-cli --user shop --pass shop.4f1a… HGETALL user:7")]
pub(super) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand, Debug)]
enum Action {
    /// Make a key and print it
    Add {
        /// Its name, which is no secret
        name: String,
        /// What it allows: read, predict, write, admin (which is all), separated by commas
        #[arg(long, required = true, value_name = "ROLES", value_delimiter = ',', value_parser = role)]
        role: Vec<Role>,
        /// The feature groups that it may read, separated by commas; if none is named, all that
        /// are not tagged `pii`
        #[arg(long, value_name = "GROUPS", value_delimiter = ',')]
        group: Vec<String>,
        /// Requests a second that it may make, and as many at once
        #[arg(long, value_name = "N")]
        rate: Option<NonZeroU32>,
        /// Leave a key of this name as it is, if there is one
        #[arg(long)]
        if_absent: bool,
    },
    /// List the keys
    Ls,
    /// Remove a key; connections that showed it are refused from then on
    Rm {
        /// Its name
        name: String,
    },
}

fn role(name: &str) -> Result<Role, String> {
    Role::named(name).ok_or_else(|| "it must be read, predict, write or admin".to_owned())
}

/// Runs it.
pub(super) fn run(common: &Common, args: &Args) -> anyhow::Result<()> {
    let data = DataDir::open(&common.data_dir)?;
    let path = data.api_keys();
    let mut keys = KeyFile::read(&path)?;
    match &args.action {
        Action::Add {
            name,
            role,
            group,
            rate,
            if_absent,
        } => {
            if *if_absent && keys.get(name).is_some() {
                return Ok(());
            }
            let token = keys.add(name, Roles::of(role), group.clone(), *rate)?;
            keys.write(&path)?;
            tell_server(&data)?;
            if common.json {
                println!("{}", json!({"name": name, "key": token}));
            } else {
                println!("{token}");
            }
        }
        Action::Ls => list(&keys, common.json),
        Action::Rm { name } => {
            keys.remove(name)?;
            keys.write(&path)?;
            tell_server(&data)?;
        }
    }
    Ok(())
}

fn list(keys: &KeyFile, as_json: bool) {
    if as_json {
        let key = |key: &crate::service::access::KeyRecord| json!({"name": key.name, "roles": key.roles, "groups": key.groups, "rate": key.rate});
        let keys: Vec<_> = keys.keys().iter().map(key).collect();
        println!("{}", json!(keys));
        return;
    }
    if keys.is_empty() {
        println!("no keys: whoever reaches a server that starts now may do everything");
    }
    for key in keys.keys() {
        let groups = match &key.groups[..] {
            [] => "all groups without `pii`".to_owned(),
            groups => groups.join(","),
        };
        let rate = key
            .rate
            .map_or_else(String::new, |rate| format!("  {rate}/s"));
        println!("{}  {}  {groups}{rate}", key.name, key.roles);
    }
}

/// The server that runs over this directory, if one does.
fn tell_server(data: &DataDir) -> anyhow::Result<()> {
    if let Some(server) = control::connect(data)? {
        let _: () = server.ask(&Request::ReloadKeys, &|_| {})?;
    }
    Ok(())
}
