"""What others have put somewhere may be named by any number of images, and goes with none of them."""

import time

import pytest
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from moorage.flows.images.delete import begin_delete
from moorage.images.locations import location
from moorage.images.records import locations
from moorage.operations import journal
from tests.flows.image_world import ALICE, new_image, rooms_on

URL = "http://example.org/disk.raw"


def wait_for_end(database, operation):
    for _ in range(1000):
        with database.read() as tx:
            row = journal.get(tx, operation)
        if row["state"] == "done":
            return
        time.sleep(0.01)
    raise AssertionError(row)


def test_two_images_may_name_the_same_url_and_no_two_the_same_object(database):
    first, second = new_image(database), new_image(database)
    with database.write() as tx:
        location.hold(tx, first, "web", URL)
        location.hold(tx, second, "web", URL)
        location.hold(tx, first, "files", "images/a/1-1")
    for image, store, name in ((second, "files", "images/a/1-1"), (first, "web", URL)):
        with pytest.raises(IntegrityError), database.write() as tx:
            location.hold(tx, image, store, name)


def test_forgetting_an_object_leaves_what_is_adopted(database):
    first = new_image(database)
    with database.write() as tx:
        location.hold(tx, first, "web", URL)
        location.forget(tx, "web", URL)
        assert not location.forsaken(tx, "web", URL)
        assert [row["object"] for row in location.held(tx, first)] == [URL]


def test_deleting_an_image_takes_its_own_row_of_an_adopted_object(database, state_dir):
    rooms = rooms_on(database, state_dir)  # which has no store named "web": nobody asks it
    first, second = new_image(database), new_image(database)
    with database.write() as tx:
        location.hold(tx, first, "web", URL)
        location.hold(tx, second, "web", URL)
    rooms.runner.start()
    try:
        operation = database.transact(lambda tx: begin_delete(tx, ALICE, first))
        rooms.runner.serve("any")
        wait_for_end(database, operation)
    finally:
        rooms.runner.stop()
    with database.read() as tx:
        assert [row["image_id"] for row in tx.all(select(locations))] == [second]
