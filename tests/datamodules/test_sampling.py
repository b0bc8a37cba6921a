"""The order of images in an epoch, and the share of each process in it."""

import itertools

import pytest

from datamodules.sampling import EpochSampler, SequentialEpochSampler, stream_seed


def share(size: int, world_size: int, rank: int, *, shuffle: bool, epoch: int = 0) -> list[int]:
    sampler = EpochSampler(size, shuffle=shuffle, rank=rank, world_size=world_size)
    sampler.set_epoch(epoch)
    indices = sampler.indices().tolist()
    assert len(indices) == len(sampler)
    assert list(sampler) == [(epoch, index) for index in indices]
    return indices


def test_the_order_is_a_function_of_seed_and_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    first = share(50, 1, 0, shuffle=True, epoch=3)

    assert sorted(first) == list(range(50))
    assert share(50, 1, 0, shuffle=True, epoch=3) == first
    assert share(50, 1, 0, shuffle=True, epoch=4) != first
    monkeypatch.setenv("PL_GLOBAL_SEED", "7")
    assert share(50, 1, 0, shuffle=True, epoch=3) != first


@pytest.mark.parametrize("world_size", [1, 2, 3, 4, 8])
@pytest.mark.parametrize("size", [1, 2, 7, 103])
def test_evaluation_counts_every_image_once(size: int, world_size: int) -> None:
    shares = [share(size, world_size, rank, shuffle=False) for rank in range(world_size)]

    assert sorted(itertools.chain(*shares)) == list(range(size))


@pytest.mark.parametrize("world_size", [2, 3, 8])
@pytest.mark.parametrize("size", [1, 2, 7, 103])
def test_training_gives_every_process_the_same_number_of_steps(size: int, world_size: int) -> None:
    shares = [share(size, world_size, rank, shuffle=True) for rank in range(world_size)]

    assert {len(s) for s in shares} == {-(-size // world_size)}
    assert set(itertools.chain(*shares)) == set(range(size))


@pytest.mark.parametrize("batch_size", [1, 2, 3, 64])
@pytest.mark.parametrize("world_size", [1, 2, 3, 4, 8])
@pytest.mark.parametrize("size", [8, 41, 43, 48])
def test_training_counts_every_image_of_an_epoch_once(size: int, world_size: int, batch_size: int) -> None:
    counted, in_last_step, totals = [], 0, set()
    for rank in range(world_size):
        indices = share(size, world_size, rank, shuffle=True)
        sampler = EpochSampler(size, shuffle=True, rank=rank, world_size=world_size)
        own_count, total_count = sampler.last_step(batch_size)
        earlier = (len(indices) - 1) // batch_size * batch_size
        counted += indices[: earlier + own_count]
        in_last_step += own_count
        totals.add(total_count)

    assert sorted(counted) == list(range(size))
    assert totals == {in_last_step}


@pytest.mark.parametrize("world_size", [1, 2, 3])
def test_an_epoch_continues_after_the_images_that_are_done(world_size: int) -> None:
    for rank in range(world_size):
        whole = share(41, world_size, rank, shuffle=True, epoch=2)
        sampler = EpochSampler(41, shuffle=True, rank=rank, world_size=world_size)
        sampler.set_epoch(2)
        sampler.seek(6 * world_size)

        assert [index for _, index in sampler] == whole[6:]
        assert len(sampler) == len(whole)  # Lightning counts the batches of the whole epoch

        sampler.set_epoch(3)
        assert [index for _, index in sampler] == share(41, world_size, rank, shuffle=True, epoch=3)


def test_seeds_of_neighbouring_streams_differ() -> None:
    keys = [(seed, epoch, image) for seed in range(4) for epoch in range(8) for image in range(64)]

    assert len({stream_seed(*key) for key in keys}) == len(keys)
    assert stream_seed(1, 2) != stream_seed(2, 1)


def test_without_shuffling_every_epoch_of_training_has_the_same_order_in_equal_shares() -> None:
    samplers = [SequentialEpochSampler(7, rank=rank, world_size=2, padded=True) for rank in range(2)]
    for sampler in samplers:
        sampler.set_epoch(3)

    assert [[index for _, index in sampler] for sampler in samplers] == [[0, 2, 4, 6], [1, 3, 5, 0]]
    assert [len(sampler) for sampler in samplers] == [4, 4]
