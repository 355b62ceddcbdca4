"""What the world learns of posts: domain → contract."""

from datetime import datetime

from membership_service.posts.domain import Post
from shared.contracts.envelope import Event
from shared.contracts.membership import PostEnded, PostGranted, PostState
from shared.messaging.publication import publication


def granted(post: Post, at: datetime) -> Event:
    """A user received a role at a unit."""
    return publication(PostGranted(state=_state(post)), post.id, post.version, at)


def ended(post: Post, at: datetime) -> Event:
    """The post ends, or has ended."""
    return publication(PostEnded(state=_state(post)), post.id, post.version, at)


def _state(post: Post) -> PostState:
    return PostState(
        post_id=post.id,
        issuer=post.issuer,
        subject=post.subject,
        role=post.role,
        organisation_id=post.organisation_id,
        starts_on=post.starts_on,
        ends_on=post.ends_on,
    )
