# SPDX-License-Identifier: Apache-2.0
"""Rules of FOCUS 1.2 that a file of charges must keep (https://focus.finops.org/focus-specification/v1-2/).

From the specification's columns: what is mandatory, what may be null and when, values that are allowed, and the formats of
numbers (attributes/numeric_format), times (attributes/date_time_format), currencies (ISO 4217) and column names.
"""
import csv
import datetime
import decimal
import io
import re

MANDATORY = ('BilledCost', 'BillingAccountId', 'BillingAccountName', 'BillingCurrency', 'BillingPeriodEnd',
             'BillingPeriodStart', 'ChargeCategory', 'ChargeClass', 'ChargeDescription', 'ChargePeriodEnd',
             'ChargePeriodStart', 'ContractedCost', 'EffectiveCost', 'InvoiceIssuerName', 'ListCost', 'PricingQuantity',
             'PricingUnit', 'ProviderName', 'PublisherName', 'ServiceCategory', 'ServiceName')
# Null in some rows, and when that is so says check_nulls.
NULLABLE = {'ChargeClass', 'ChargeDescription', 'PricingQuantity', 'PricingUnit', 'BillingAccountName'}
OTHERS = {'AvailabilityZone', 'BillingAccountType', 'CapacityReservationId', 'CapacityReservationStatus', 'ChargeFrequency',
          'CommitmentDiscountCategory', 'CommitmentDiscountId', 'CommitmentDiscountName', 'CommitmentDiscountQuantity',
          'CommitmentDiscountStatus', 'CommitmentDiscountType', 'CommitmentDiscountUnit', 'ConsumedQuantity', 'ConsumedUnit',
          'ContractedUnitPrice', 'InvoiceId', 'ListUnitPrice', 'PricingCategory', 'PricingCurrency',
          'PricingCurrencyContractedUnitPrice', 'PricingCurrencyEffectiveCost', 'PricingCurrencyListUnitPrice', 'RegionId',
          'RegionName', 'ResourceId', 'ResourceName', 'ResourceType', 'ServiceSubcategory', 'SkuId', 'SkuMeter',
          'SkuPriceDetails', 'SkuPriceId', 'SubAccountId', 'SubAccountName', 'SubAccountType', 'Tags'}
VALUES = {'ChargeCategory': {'Usage', 'Purchase', 'Tax', 'Credit', 'Adjustment'},
          'ChargeClass': {'', 'Correction'},
          'ChargeFrequency': {'One-Time', 'Recurring', 'Usage-Based'},
          'PricingCategory': {'', 'Standard', 'Dynamic', 'Committed', 'Other'},
          'ServiceCategory': {'AI and Machine Learning', 'Analytics', 'Business Applications', 'Compute', 'Databases',
                              'Developer Tools', 'Identity', 'Integration', 'Internet of Things', 'Management and Governance',
                              'Media', 'Migration', 'Mobile', 'Multicloud', 'Networking', 'Other', 'Security', 'Storage',
                              'Web'},
          'ServiceSubcategory': {'Generative AI', 'Other (Compute)', 'Other (Networking)', 'Other (Other)'}}
# Each has one parent.
PARENTS = {'Generative AI': 'AI and Machine Learning', 'Other (Compute)': 'Compute', 'Other (Networking)': 'Networking', 'Other (Other)': 'Other'}
UNIT = re.compile(r'(\d+ )?[A-Z][A-Za-z]*(-[A-Z][a-z]*)*s?|[KMGTPE]?i?[bB]')  # attributes/unit_format
COSTS = ('BilledCost', 'ContractedCost', 'EffectiveCost', 'ListCost')
CURRENCIES = {'USD', 'EUR', 'CNY', 'GBP', 'JPY', 'AED', 'SAR', 'BRL', 'ARS', 'CHF', 'INR', 'SGD', 'HKD', 'KRW', 'CAD'}
NUMBER = re.compile(r'-?\d+(\.\d+)?([Ee]-?\d+)?')
TIME = re.compile(r'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ')


def moment(text):
    return datetime.datetime.strptime(text, '%Y-%m-%dT%H:%M:%SZ')


def check_columns(columns):
    wrong = [f'{c} is missing' for c in MANDATORY if c not in columns]
    wrong += [f'{c} is there twice' for c in set(columns) if columns.count(c) > 1]
    wrong += [f'{c} is no column of FOCUS and has no x_' for c in columns
              if c not in MANDATORY and c not in OTHERS and not re.fullmatch(r'x_[A-Z][A-Za-z0-9]*', c)]
    own = [c.startswith('x_') for c in columns]
    wrong += ['custom columns between those of FOCUS'] if own != sorted(own) else []
    return wrong + [f'{c} is too long' for c in columns if len(c) > 50]


def check_nulls(row):
    wrong = [f'{c} is null' for c in MANDATORY if c not in NULLABLE and not row[c]]
    usage, correction = row['ChargeCategory'] in ('Usage', 'Purchase'), row['ChargeClass'] == 'Correction'
    for c in ('PricingQuantity', 'PricingUnit'):
        if usage and not correction and not row[c]:
            wrong.append(f'{c} is null')
        if row['ChargeCategory'] == 'Tax' and row[c]:
            wrong.append(f'{c} of a tax')
    for a, b in (('ConsumedQuantity', 'ConsumedUnit'), ('PricingQuantity', 'PricingUnit'), ('RegionId', 'RegionName'),
                 ('ResourceId', 'ResourceType')):
        if a in row and bool(row[a]) != bool(row[b]):
            wrong.append(f'{a} without {b}, or that without this')
    if row.get('ResourceName') and (not row['ResourceId'] or row['ResourceName'] == row['ResourceId']):
        wrong.append('ResourceName that is no name')
    if 'ConsumedQuantity' in row and row['ConsumedQuantity'] and row['ChargeCategory'] != 'Usage':
        wrong.append('ConsumedQuantity of what was not used')
    if not row.get('ConsumedQuantity', ' ') and row['ChargeCategory'] == 'Usage' and not correction:
        wrong.append('ConsumedQuantity is null')
    if usage and not correction and not row.get('PricingCategory', ' '):
        wrong.append('PricingCategory is null')
    return wrong


def check_kinds(row):
    """What one column says of another."""
    wrong = []
    if row['ChargeCategory'] == 'Purchase' and row.get('ChargeFrequency') == 'Usage-Based':
        wrong.append('a purchase that is usage-based')
    if row.get('ServiceSubcategory') and PARENTS.get(row['ServiceSubcategory']) != row['ServiceCategory']:
        wrong.append(f"{row['ServiceSubcategory']} is not of {row['ServiceCategory']}")
    if row['ChargeCategory'] == 'Credit' and len({decimal.Decimal(row[c]) for c in COSTS}) > 1:
        wrong.append('costs of a credit differ')
    wrong += [f'{c}: {row[c]!r} is no unit' for c in ('ConsumedUnit', 'PricingUnit') if row.get(c) and not UNIT.fullmatch(row[c])]
    return wrong


def check_formats(row):
    wrong = [f'{c}: {row[c]!r} is not one of its values' for c, values in VALUES.items() if c in row and row[c] not in values]
    numbers = [c for c in (*COSTS, 'PricingQuantity', 'ConsumedQuantity') if row.get(c)]
    wrong += [f'{c}: {row[c]!r} is no number' for c in numbers if not NUMBER.fullmatch(row[c])]
    wrong += [f'{c}: {row[c]!r} is no time' for c in row if c.endswith(('PeriodStart', 'PeriodEnd')) and
              not TIME.fullmatch(row[c])]
    if row['BillingCurrency'] not in CURRENCIES:
        wrong.append(f'BillingCurrency: {row["BillingCurrency"]!r}')
    return wrong


def check_periods(row):
    start, end, first, last = (moment(row[c]) for c in ('ChargePeriodStart', 'ChargePeriodEnd', 'BillingPeriodStart',
                                                        'BillingPeriodEnd'))
    wrong = [] if start < end and first < last else ['a period that ends before it begins']
    # A correction of a period that was invoiced keeps its own days, in the billing period that charges it.
    before = row['ChargeClass'] == 'Correction' and end <= first
    return wrong if before or (first <= start and end <= last) else wrong + ['a charge outside of its billing period']


def check(text):
    """Rows as dictionaries, and everything that is wrong."""
    reader = csv.DictReader(io.StringIO(text, newline=''))
    columns = list(reader.fieldnames or [])
    wrong, rows = check_columns(columns), []
    if wrong:
        return rows, wrong
    for n, row in enumerate(reader, 2):
        rows.append(row)
        if None in row or None in row.values():
            wrong.append(f'line {n}: another number of fields')
            continue
        found = check_nulls(row) + check_formats(row)
        wrong += [f'line {n}: {w}' for w in (found or check_kinds(row) + check_periods(row))]
    services = {(r['ServiceName'], r['ServiceCategory']) for r in rows}
    wrong += ['a service of two categories'] if len(services) > len({name for name, _ in services}) else []
    return rows, wrong


def total(rows, column='BilledCost'):
    return sum((decimal.Decimal(r[column]) for r in rows), decimal.Decimal(0))
