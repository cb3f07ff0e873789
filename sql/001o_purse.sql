-- migrate: once
--
-- Which reservations of a batch meet all its lines: their money is what it may spend.

alter table sluice.admission add column whole boolean[] not null default '{}';
-- Batches whose next line costs more than they may spend: [batch, money].
alter table sluice.fairness add column dear json not null default '[]';
