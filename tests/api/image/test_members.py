"""Members and tags."""

from tests.images.cloud import JSON, PATCH, ImageCloud


def test_a_member_from_invitation_to_farewell(cloud: ImageCloud) -> None:
    id = cloud.image()
    members = f"/image/v2/images/{id}/members"
    reply = cloud.call("POST", members, {"member": "project-b"})
    assert reply.status == 200
    member = reply.json
    times = [member.pop("created_at"), member.pop("updated_at")]
    assert member == {
        "member_id": "project-b", "image_id": id, "status": "pending", "schema": "/v2/schemas/member",
    }  # fmt: skip
    assert all(len(at) == 20 for at in times)
    assert cloud.call("POST", members, {"member": "project-b"}).status == 409
    assert cloud.call("POST", members, {"member": "project-c"}).status == 200
    found = cloud.call("GET", members).json
    assert found["schema"] == "/v2/schemas/members"
    assert [m["member_id"] for m in found["members"]] == ["project-b", "project-c"]
    assert [m["member_id"] for m in cloud.call("GET", members, as_="bob").json["members"]] == ["project-b"]
    assert cloud.call("GET", f"{members}/project-b", as_="bob").json["status"] == "pending"
    assert cloud.call("GET", f"{members}/project-c", as_="bob").status == 404
    accepted = cloud.call("PUT", f"{members}/project-b", {"status": "accepted", "member": "project-b"}, as_="bob")
    assert (accepted.status, accepted.json["status"]) == (200, "accepted")
    assert cloud.call("DELETE", f"{members}/project-b", as_="bob").status == 403
    assert cloud.call("DELETE", f"{members}/project-b").status == 204
    assert cloud.call("DELETE", f"{members}/project-b").status == 404
    assert cloud.call("GET", f"/image/v2/images/{id}", as_="bob").status == 404


def test_who_may_do_what_with_members(cloud: ImageCloud) -> None:
    id = cloud.image()
    members = f"/image/v2/images/{id}/members"
    assert cloud.call("POST", members, {"member": "project-b"}, as_="anna").status == 403
    assert cloud.call("POST", members, {"member": "project-b"}, as_="carol").status == 404
    assert cloud.call("POST", members, {"member": "project-b"}, as_="root").status == 200
    assert cloud.call("POST", members, {"member": "project-c"}, as_="bob").status == 403
    for who, status in (("alice", 403), ("carol", 404), ("root", 200), ("bob", 200)):
        assert cloud.call("PUT", f"{members}/project-b", {"status": "accepted"}, as_=who).status == status
    assert cloud.call("GET", members, as_="anna").status == 200


def test_only_shared_images_have_members(cloud: ImageCloud) -> None:
    id = cloud.image()
    members = f"/image/v2/images/{id}/members"
    assert cloud.call("POST", members, {"member": "project-b"}).status == 200
    change = [{"op": "replace", "path": "/visibility", "value": "private"}]
    assert cloud.call("PATCH", f"/image/v2/images/{id}", change, headers=PATCH).status == 200
    assert cloud.call("POST", members, {"member": "project-c"}).status == 403
    assert cloud.call("GET", members).status == 403
    assert cloud.call("GET", f"/image/v2/images/{id}", as_="bob").status == 404
    change[0]["value"] = "shared"
    assert cloud.call("PATCH", f"/image/v2/images/{id}", change, headers=PATCH).status == 200
    assert cloud.call("GET", f"/image/v2/images/{id}", as_="bob").status == 200


def test_bad_members(cloud: ImageCloud) -> None:
    id = cloud.image()
    members = f"/image/v2/images/{id}/members"
    for body in ({}, {"member": ""}, {"member": 5}, {"member": None}, {"member": "x" * 256}, [], "x"):
        assert cloud.call("POST", members, body).status == 400
    assert cloud.call("POST", members, {"member": "project-b"}).status == 200
    for answer in ({}, {"status": "maybe"}, {"status": 5}, []):
        assert cloud.call("PUT", f"{members}/project-b", answer, as_="bob").status == 400
    for number in range(127):
        assert cloud.call("POST", members, {"member": f"m{number}"}).status == 200
    assert cloud.call("POST", members, {"member": "one-more"}).status == 413


def test_tags(cloud: ImageCloud) -> None:
    id = cloud.image(visibility="community")
    tags = f"/image/v2/images/{id}/tags"
    assert [cloud.call("PUT", f"{tags}/{tag}").status for tag in ("a", "b%20c", "a", "%C3%A9", "x" * 255)] == [204] * 5
    assert cloud.show(id)["tags"] == ["a", "b c", "x" * 255, "é"]
    assert cloud.call("PUT", f"{tags}/{'x' * 256}").status == 400
    assert cloud.call("DELETE", f"{tags}/b%20c").status == 204
    assert cloud.call("DELETE", f"{tags}/b%20c").status == 404
    assert [cloud.call("PUT", f"{tags}/z", as_=who).status for who in ("anna", "bob")] == [403, 403]
    assert cloud.call("PUT", f"{tags}/%00", headers=JSON).status == 400
    assert cloud.show(id)["tags"] == ["a", "x" * 255, "é"]
