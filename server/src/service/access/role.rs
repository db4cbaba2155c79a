//! What a key allows. Called by `access` and `granary keys`.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One thing that a key may allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Features, plain keys, the state of the server.
    Read,
    /// Events and plain keys.
    Write,
    /// Predictions, whose features come with them.
    Predict,
    /// All of these, and what concerns the server itself.
    Admin,
}

/// Some roles.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<Role>", into = "Vec<Role>")]
pub struct Roles(u8);

impl Role {
    /// All, from the least.
    pub const ALL: [Role; 4] = [Role::Read, Role::Predict, Role::Write, Role::Admin];

    /// The role of this name.
    pub fn named(name: &str) -> Option<Role> {
        Role::ALL.into_iter().find(|role| role.name() == name)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Role::Read => "read",
            Role::Write => "write",
            Role::Predict => "predict",
            Role::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Roles {
    /// These.
    pub fn of(roles: &[Role]) -> Roles {
        Roles(roles.iter().fold(0, |all, role| all | 1 << *role as u8))
    }

    /// Whether this one is among them, or all are by being an admin's.
    pub fn has(self, role: Role) -> bool {
        self.holds(role) || self.holds(Role::Admin)
    }

    fn holds(self, role: Role) -> bool {
        self.0 & (1 << role as u8) != 0
    }
}

impl From<Vec<Role>> for Roles {
    fn from(roles: Vec<Role>) -> Roles {
        Roles::of(&roles)
    }
}

impl From<Roles> for Vec<Role> {
    fn from(roles: Roles) -> Vec<Role> {
        let held = Role::ALL.into_iter().filter(|role| roles.holds(*role));
        held.collect()
    }
}

impl fmt::Display for Roles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = Vec::from(*self).into_iter().map(Role::name).collect();
        f.write_str(&names.join(","))
    }
}
