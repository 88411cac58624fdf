"""Acceptance row P4, for sounds: the training is spoken digits, what comes in is music.

There is no encoder of sounds, so a recording's vector is what such encoders began with: mean and deviation of its mel
bands in decibels (Davis and Mermelstein 1980, without the cosine transform, which a linear classifier does not need).
Digits are made here by a source and formants; where the real ones are at hand, the same is asked of them.
"""

from __future__ import annotations

import io
import wave
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from vector_assets.index.drift import two_sample
from vector_assets.records import Vectors

Sound = NDArray[np.float64]

RATE, WINDOW, STEP, BANDS = 8000, 256, 80, 26
FSDD = Path(__file__).resolve().parents[3] / "shared/data/fsdd/fsdd.parquet"
#: First and second formant of the vowels of ten digits, in Hz (after Peterson and Barney 1952).
FORMANTS = ((300, 870), (640, 1190), (390, 1990), (530, 1840), (570, 840), (730, 1090), (490, 1350), (270, 2290),
            (660, 1720), (440, 1020))  # fmt: skip


def log_mel(sound: Sound) -> Vectors:
    """Return mean and deviation over time of the logarithm of mel bands, (2 * BANDS,)."""
    frames = np.lib.stride_tricks.sliding_window_view(sound, WINDOW)[::STEP] * np.hanning(WINDOW)
    power = np.abs(np.fft.rfft(frames)) ** 2
    edges = 700 * (10 ** (np.linspace(0, 2595 * np.log10(1 + RATE / 1400), BANDS + 2) / 2595) - 1)
    bins = np.fft.rfftfreq(WINDOW, 1 / RATE)
    low, middle, high = (edges[place : place + BANDS, None] for place in range(3))
    filters = np.maximum(0, np.minimum((bins - low) / (middle - low), (high - bins) / (high - middle)))
    bands = np.log(power @ filters.T + 1e-8)
    return np.concatenate([bands.mean(axis=0), bands.std(axis=0)]).astype(np.float32)


def loud(sound: Sound, draw: np.random.Generator) -> Sound:
    """Bring to one loudness, with the hiss of a recording: neither may tell the two kinds apart."""
    return sound / np.sqrt(np.mean(sound**2)) + draw.normal(scale=0.05, size=len(sound))


def digit(seed: int) -> Sound:
    """One spoken digit: a train of glottal pulses of a speaker's pitch through two formants, rising and falling."""
    draw = np.random.default_rng([seed, 0])
    time = np.arange(int(RATE * draw.uniform(0.3, 0.6))) / RATE
    pitch = draw.uniform(85, 255) * (1 + 0.1 * np.sin(2 * np.pi * draw.uniform(1, 3) * time))
    sound = np.zeros_like(time)
    size = draw.uniform(0.9, 1.2)  # of the vocal tract
    for number in range(1, 40):
        frequency = number * pitch
        gain = sum(1 / (1 + ((frequency - size * formant) / 90) ** 2) for formant in FORMANTS[seed % 10]) / number
        sound += np.where(frequency < RATE / 2, gain, 0) * np.sin(2 * np.pi * np.cumsum(frequency) / RATE)
    breath = draw.normal(size=len(time)) * np.where(time < 0.08, 0.3, 0.02)  # the consonant before the vowel
    return loud((sound / np.abs(sound).max() + breath) * np.hanning(len(time)), draw)


def music(seed: int) -> Sound:
    """A few chords of plucked strings: notes of the scale, their overtones, and each dying away."""
    draw = np.random.default_rng([seed, 1])
    time = np.arange(int(RATE * draw.uniform(0.3, 0.6))) / RATE
    sound = np.zeros_like(time)
    for start in np.arange(0, time[-1], draw.uniform(0.12, 0.25)):
        for note in draw.choice(36, size=3, replace=False):
            frequency = 110 * 2 ** (note / 12)
            for number in range(1, 12):
                if number * frequency < RATE / 2:
                    dying = np.exp(-np.maximum(time - start, 0) * draw.uniform(3, 6)) * (time >= start)
                    sound += dying * np.sin(2 * np.pi * number * frequency * time) / number**0.7
    return loud(sound, draw)


def recorded(split: slice) -> list[Sound]:
    """Real digits, at one loudness."""
    draw = np.random.default_rng(0)
    found = []
    for content in pq.read_table(FSDD, columns=["wav"])["wav"].to_pylist()[split]:
        with wave.open(io.BytesIO(content)) as file:
            samples = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float64)
        found.append(loud(np.pad(samples, (0, max(0, WINDOW - len(samples)))), draw))
    return found


def two_halves(vectors: Vectors) -> tuple[Vectors, Vectors]:
    order = np.random.default_rng(0).permutation(len(vectors))
    return vectors[order[: len(order) // 2]], vectors[order[len(order) // 2 :]]


def asserted(digits: Vectors, others: Vectors) -> None:
    far, near = two_sample(digits, others), two_sample(*two_halves(digits))
    assert far.enough and far.auc > 0.75 and far.exceeds(0.75), far.auc
    assert near.enough and near.auc < 0.6 and not near.exceeds(0.75), near.auc


def test_music_trips_it_where_digits_were_learned_and_digits_do_not() -> None:
    digits, others = (np.stack([log_mel(make(seed)) for seed in range(300)]) for make in (digit, music))
    asserted(digits, others)


@pytest.mark.skipif(not FSDD.is_file(), reason="the recordings of spoken digits (fsdd) are not here")
def test_recorded_digits_and_music() -> None:
    digits = np.stack([log_mel(sound) for sound in recorded(slice(0, None, 3))])
    asserted(digits, np.stack([log_mel(music(seed)) for seed in range(300)]))
