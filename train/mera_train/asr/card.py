"""The recognizer's model card."""

from __future__ import annotations


def card(metrics: dict[str, float], hours: float, synthetic: float, symbols: int) -> str:
    """The model card: what it learnt from, how well, under which licence.

    Args:
        metrics: on dev.
        hours: of recorded speech.
        synthetic: hours of synthetic speech.
        symbols: classes.
    """
    beside = f" and {synthetic:.1f} hours read by engines" if synthetic else ""
    return f"""\
# Streaming speech recognizer (English)

A causal conformer with CTC over {symbols} subwords, trained from nothing on
{hours:.1f} hours of read speech{beside}: **that is very little**. It knows the words of simple read
sentences and misses many others; it is no open-vocabulary recognizer.

* Data and licences: speechocean762 train (CC BY 4.0; Mandarin-accented, half of the speakers are
  children; without the sentences that its test also has), LibriSpeech: seven speakers of
  train-clean-100 and twenty of dev-clean (CC BY 4.0), one man reading LJSpeech sentences
  (Apache-2.0), NLTK's sample of TIMIT (non-commercial), 116 sentences of one Hi-Fi TTS speaker and
  40 of four VCTK speakers (CC BY 4.0); noise from UrbanSound8K folds 1 and 2 (CC BY-NC 3.0:
  non-commercial). pocketsphinx (BSD) aligned the first texts to their sound. Synthetic speech of
  espeak-ng, flite, hibari (Apache-2.0) and piper's voice joe (CC0). Texts of it and of the language
  models beside it: GoEmotions (Apache-2.0), MELD (GPL-3.0) and CARER (research), training splits,
  NLTK's plain texts (some for research only) and 98 English novels (docs/results/asr.md).
  Pronunciations: the CMU dictionary (BSD).
* Dev (speakers kept out: ten of speechocean762's training part, two of dev-clean; they chose the
  weights): word error rate {metrics["wer"]:.1%}, character error rate {metrics["cer"]:.1%}, greedy.
* Test figures: docs/results/asr.md.
* Not covered: spontaneous and emotional speech, far-field microphones, other languages.
"""
