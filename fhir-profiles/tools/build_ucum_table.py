"""UCUM's own table (`ucum-essence.xml`) to the compact one that the crate `fhir` reads.

Usage: python3 build_ucum_table.py ucum-essence.xml > fhir-profiles/ucum/units.txt

Lines, fields separated by tabs:
  P  code  value                        prefix
  B  code                               base unit, metric
  U  code  metric(0|1)  value  unit     value times the unit's expression
  A  code  metric(0|1)                  arbitrary unit: commensurable with itself only
  S  code  metric(0|1)  function value unit   special unit: on another scale than a ratio
"""

import sys
import xml.etree.ElementTree as ElementTree

SPACE = "{http://unitsofmeasure.org/ucum-essence}"


def line(unit):
    code, value = unit.get("Code"), unit.find(SPACE + "value")
    metric = "1" if unit.get("isMetric") == "yes" else "0"
    if unit.get("isArbitrary") == "yes" and value.get("Unit") == "1":
        return ["A", code, metric]
    function = value.find(SPACE + "function")
    if unit.get("isSpecial") == "yes" and function is not None:
        parts = [function.get("name"), function.get("value"), function.get("Unit")]
        return ["S", code, metric, *parts]
    return ["U", code, metric, value.get("value"), value.get("Unit")]


def main(path):
    root = ElementTree.parse(path).getroot()
    print(f"# UCUM {root.get('version')} ({root.get('revision-date')}), made by tools/build_ucum_table.py. Do not edit.")
    print("# The UCUM table and UCUM codes are copyright (c) Regenstrief Institute, Inc. and the UCUM Organization,")
    print("# used under the UCUM licence; see https://unitsofmeasure.org for it and for the complete table.")
    for prefix in root.iter(SPACE + "prefix"):
        print("P", prefix.get("Code"), prefix.find(SPACE + "value").get("value"), sep="\t")
    for base in root.iter(SPACE + "base-unit"):
        print("B", base.get("Code"), sep="\t")
    for unit in root.iter(SPACE + "unit"):
        print(*line(unit), sep="\t")


main(sys.argv[1])
