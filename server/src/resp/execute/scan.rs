//! Goes through the keyspace: rows of entities first, then plain keys. Called by `keys`.

use super::{Context, entity_key, keys::kind};
use crate::resp::Reply;
use crate::resp::command::ScanOptions;
use crate::resp::cursor::{Place, Position};
use crate::resp::glob::matches;
use crate::service::{Catalog, ServiceError};

/// Keys fetched at once where all are gone through.
const PAGE: usize = 10_000;

/// Some keys with their prefixes, and where to go on.
struct Page {
    keys: Vec<Vec<u8>>,
    next: Option<Place>,
}

/// One step of `SCAN`.
pub(super) fn scan(
    context: &mut Context<'_, '_>,
    cursor: u64,
    options: &ScanOptions<'_>,
) -> Result<Reply, ServiceError> {
    let server = context.session.server.clone();
    let place = match server.cursors.find(cursor) {
        Position::Start => Place::start(),
        Position::After(place) => place,
        Position::Unknown => return Ok(scanned(0, Vec::new())),
        Position::Forgotten => {
            let reason = "this scan was left too long ago; begin again at 0";
            return Ok(Reply::Error(format!("ERR invalid cursor: {reason}")));
        }
    };
    let mut page = page(context, &place, options.count)?;
    let next = page
        .next
        .take()
        .map_or(0, |place| server.cursors.give(place));
    retain(context, &mut page.keys, options.pattern, options.kind)?;
    Ok(scanned(next, page.keys))
}

fn scanned(next: u64, keys: Vec<Vec<u8>>) -> Reply {
    Reply::Array(vec![
        Reply::Text(next.to_string()),
        Reply::Array(keys.into_iter().map(Reply::Bulk).collect()),
    ])
}

/// A pattern without signs is one key: looked up, not searched for.
pub(super) fn all_keys(
    context: &mut Context<'_, '_>,
    pattern: &[u8],
) -> Result<Reply, ServiceError> {
    let mut found = Vec::new();
    if pattern.iter().any(|byte| b"*?[\\".contains(byte)) {
        let mut place = Some(first(context.catalog, pattern));
        while let Some(at) = place {
            let mut page = page(context, &at, PAGE)?;
            retain(context, &mut page.keys, Some(pattern), None)?;
            found.append(&mut page.keys);
            place = page.next;
        }
    } else if kind(context, pattern)?.is_some() {
        found.push(pattern.to_vec());
    }
    Ok(Reply::Array(found.into_iter().map(Reply::Bulk).collect()))
}

/// Rows are left out where the pattern's first letters show that none fits.
fn first(catalog: &Catalog, pattern: &[u8]) -> Place {
    let literal = pattern.iter().position(|byte| b"*?[\\".contains(byte));
    let literal = &pattern[..literal.unwrap_or(pattern.len())];
    let prefix = catalog.prefix.as_bytes();
    if literal.starts_with(prefix) || prefix.starts_with(literal) {
        Place::start()
    } else {
        Place::plain()
    }
}

fn page(context: &mut Context<'_, '_>, place: &Place, count: usize) -> Result<Page, ServiceError> {
    let mut keys = Vec::new();
    if let Place::Rows(after) = place {
        let prefix = context.catalog.prefix.as_str();
        let rows = context.service.keys(after.as_deref(), count)?;
        let last = rows.last().filter(|_| rows.len() >= count).cloned();
        let named = rows
            .into_iter()
            .map(|row| format!("{prefix}{row}").into_bytes());
        keys.extend(named);
        if let Some(last) = last {
            return Ok(Page {
                keys,
                next: Some(Place::Rows(Some(last))),
            });
        }
    }
    let after = match place {
        Place::Plain(after) => after.as_deref(),
        Place::Rows(_) => None,
    };
    let wanted = count - keys.len().min(count);
    let mut plain = context.turn.keys(after, wanted.max(1))?;
    let last = plain
        .last()
        .filter(|_| plain.len() >= wanted.max(1))
        .cloned();
    keys.append(&mut plain);
    Ok(Page {
        keys,
        next: last.map(|last| Place::Plain(Some(last))),
    })
}

/// Keeps the keys that are there, fit the pattern and hold what is asked for.
fn retain(
    context: &mut Context<'_, '_>,
    keys: &mut Vec<Vec<u8>>,
    pattern: Option<&[u8]>,
    wanted: Option<&[u8]>,
) -> Result<(), ServiceError> {
    let mut kept = Vec::with_capacity(keys.len());
    for key in keys.drain(..) {
        if pattern.is_some_and(|pattern| !matches(pattern, &key)) {
            continue;
        }
        // A row that was listed is there; a plain key may have expired.
        let is_row = entity_key(context.catalog, &key).is_some();
        let name: &[u8] = match is_row {
            true => b"hash",
            false => match kind(context, &key)? {
                Some(crate::service::keys::KeyKind::Hash) => b"hash",
                Some(crate::service::keys::KeyKind::Text) => b"string",
                None => continue,
            },
        };
        if wanted.is_none_or(|wanted| wanted.eq_ignore_ascii_case(name)) {
            kept.push(key);
        }
    }
    *keys = kept;
    Ok(())
}
