//! The bytes of a request's body, within the room that all bodies share: memory is bounded by
//! the room, whatever the number of clients. Called by every resource that takes something.

use std::future::poll_fn;
use std::ops::Deref;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};

use actix_web::http::header::CONTENT_LENGTH;
use actix_web::{HttpRequest, web};
use futures_core::Stream;

use super::error::ApiError;
use crate::service::ServiceError;

/// Memory for the bodies that are being read or answered.
#[derive(Debug)]
pub(super) struct Room {
    limit: usize,
    taken: AtomicUsize,
}

/// A body, which holds its part of the room until it is dropped.
#[derive(Debug)]
pub(super) struct Body {
    bytes: web::BytesMut,
    held: Held,
}

/// A part of the room.
#[derive(Debug)]
pub(super) struct Held {
    room: &'static Room,
    bytes: usize,
}

impl Room {
    /// A room of so many bytes.
    pub(super) const fn new(limit: usize) -> Room {
        Room {
            limit,
            taken: AtomicUsize::new(0),
        }
    }

    fn enter(&'static self) -> Held {
        Held {
            room: self,
            bytes: 0,
        }
    }
}

impl Held {
    /// Takes more, as it arrives: a slow client holds only what it has sent.
    fn grow(&mut self, bytes: usize) -> Result<(), ApiError> {
        let before = self.room.taken.fetch_add(bytes, Ordering::Relaxed);
        self.bytes += bytes;
        if before + bytes <= self.room.limit {
            return Ok(());
        }
        let limit = self.room.limit;
        let reason = format!("the bodies of all requests are {limit} bytes by now; send it again");
        Err(ServiceError::Busy(reason).into())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.room.taken.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl Body {
    /// The bytes themselves, and the room that they take.
    pub(super) fn into_parts(self) -> (Vec<u8>, Held) {
        (self.bytes.freeze().into(), self.held)
    }
}

impl Deref for Body {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

/// The whole body, whatever its content type.
pub(super) async fn body(
    request: &HttpRequest,
    payload: web::Payload,
    limit: usize,
    room: &'static Room,
) -> Result<Body, ApiError> {
    let announced = request.headers().get(CONTENT_LENGTH);
    let announced = announced.and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > limit) {
        return Err(ApiError::TooLarge { limit });
    }
    let mut body = Body {
        bytes: web::BytesMut::new(),
        held: room.enter(),
    };
    let mut payload = pin!(payload);
    while let Some(chunk) = poll_fn(|context| payload.as_mut().poll_next(context)).await {
        let chunk = chunk.map_err(|error| ApiError::Body(error.to_string()))?;
        if body.len() + chunk.len() > limit {
            return Err(ApiError::TooLarge { limit });
        }
        body.held.grow(chunk.len())?;
        body.bytes.extend_from_slice(&chunk);
    }
    if body.trim_ascii().is_empty() {
        return Err(ApiError::field("body", "is empty; send a JSON object"));
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_refused_and_leaves_room_for_others() {
        static ROOM: Room = Room::new(10);
        let mut first = ROOM.enter();
        first.grow(6).unwrap();
        let mut second = ROOM.enter();
        second.grow(4).unwrap();
        let refused = second.grow(1).unwrap_err();
        assert!(matches!(refused, ApiError::Service(ServiceError::Busy(_))));
        drop(second);
        first.grow(4).unwrap();
        drop(first);
        assert_eq!(ROOM.taken.load(Ordering::Relaxed), 0);
    }
}
