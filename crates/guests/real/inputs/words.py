"""What a script of a data scientist does: reads text, counts, computes with big and broken numbers, packs, writes."""

import collections
import decimal
import fractions
import hashlib
import json
import math
import os
import re
import statistics
import sys
import zlib

text = open("/in/licence.txt", encoding="utf-8").read()
words = re.findall(r"[a-z]+", text.lower())
counts = collections.Counter(words)
lengths = [len(word) for word in words]
harmonic = sum((fractions.Fraction(1, n) for n in range(1, 200)), fractions.Fraction(0))
decimal.getcontext().prec = 60
packed = zlib.compress(text.encode(), 9)
assert zlib.decompress(packed).decode() == text

report = {
    "python": sys.version.split()[0],
    "listing": sorted(os.listdir("/in")),
    "words": len(words),
    "commonest": counts.most_common(12),
    "mean": statistics.fmean(lengths),
    "deviation": statistics.pstdev(lengths),
    "harmonic": f"{harmonic.numerator % 10**40}/{harmonic.denominator % 10**40}",
    "root": str(decimal.Decimal(2).sqrt()),
    "power": str(pow(7, 12345, 10**50 + 151)),
    "sines": [math.sin(n / 7).hex() for n in range(5)],
    "packed": [len(packed), hashlib.sha256(packed).hexdigest()],
}
os.makedirs("/out/made", exist_ok=True)
with open("/out/made/licence.z", "wb") as file:
    file.write(packed)
with open("/out/report.json", "w", encoding="utf-8") as file:
    json.dump(report, file, indent=1, sort_keys=True)
print(f"{len(words)} words, {len(counts)} of them different; args {sys.argv[1:]}")
sys.exit(3)
