"""The family `cryptobotanists_plant_dna_sequencer`: the genes of invented plants."""

from __future__ import annotations

from collections import Counter

from deepagent.toolsets.functions import tool

_FAMILY = "cryptobotanists_plant_dna_sequencer"
_AMINO_ACIDS = {"AUG": "Methionine", "UUU": "Phenylalanine", "UUC": "Phenylalanine"}
_CODON = 3


@tool(effect="pure", toolset=_FAMILY)
def count_nucleotides(dna_sequence: str) -> dict[str, int]:
    """Counts the occurrences of each nucleotide in a DNA sequence."""
    return dict(Counter(dna_sequence))


@tool(effect="pure", toolset=_FAMILY)
def transcribe_dna_to_mrna(dna_sequence: str) -> str:
    """Transcribes a DNA sequence to mRNA."""
    return dna_sequence.translate(str.maketrans("ACGT", "UGCA"))


@tool(effect="pure", toolset=_FAMILY)
def translate_mrna_to_amino_acid(mrna_sequence: str) -> str:
    """Translates an mRNA sequence to a chain of amino acids."""
    codons = [mrna_sequence[start : start + _CODON] for start in range(0, len(mrna_sequence), _CODON)]
    return "-".join(_AMINO_ACIDS.get(codon, "X") for codon in codons)


@tool(effect="pure", toolset=_FAMILY)
def find_max_nucleotide(nucleotide_counts: dict[str, int]) -> tuple[str, int]:
    """Returns the nucleotide with the highest count, and that count."""
    return max(nucleotide_counts.items(), key=lambda item: item[1])


@tool(effect="pure", toolset=_FAMILY)
def is_valid_dna_sequence(dna_sequence: str) -> bool:
    """Checks whether a DNA sequence is valid."""
    return set(dna_sequence) <= set("ACGT")


@tool(effect="pure", toolset=_FAMILY)
def reverse_transcribe_mrna_to_dna(mrna_sequence: str) -> str:
    """Reverse transcribes an mRNA sequence to DNA."""
    return mrna_sequence.translate(str.maketrans("UCAG", "AGTC"))


TOOLS = (
    count_nucleotides,
    transcribe_dna_to_mrna,
    translate_mrna_to_amino_acid,
    find_max_nucleotide,
    is_valid_dna_sequence,
    reverse_transcribe_mrna_to_dna,
)
