BEGIN;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
CREATE TABLE "relation" (
	id INTEGER NOT NULL, 
	from_id INTEGER NOT NULL, 
	to_id INTEGER, 
	to_name VARCHAR NOT NULL, 
	relation_type VARCHAR NOT NULL, 
	context TEXT, 
	project_id INTEGER NOT NULL, generation BIGINT DEFAULT 0 NOT NULL, 
	PRIMARY KEY (id), 
	CONSTRAINT uix_relation_from_id_to_id UNIQUE (from_id, to_id, relation_type), 
	CONSTRAINT uix_relation_from_id_to_name UNIQUE (from_id, to_name, relation_type), 
	CONSTRAINT fk_relation_project_id FOREIGN KEY(project_id) REFERENCES project (id), 
	FOREIGN KEY(from_id) REFERENCES entity (id) ON DELETE CASCADE, 
	FOREIGN KEY(to_id) REFERENCES entity (id) ON DELETE CASCADE
);
CREATE TABLE "observation" (
	id INTEGER NOT NULL, 
	entity_id INTEGER NOT NULL, 
	content TEXT NOT NULL, 
	category VARCHAR NOT NULL, 
	context TEXT, 
	tags JSON DEFAULT '[]', 
	project_id INTEGER NOT NULL, 
	PRIMARY KEY (id), 
	CONSTRAINT fk_observation_project_id FOREIGN KEY(project_id) REFERENCES project (id), 
	FOREIGN KEY(entity_id) REFERENCES entity (id) ON DELETE CASCADE
);
CREATE TABLE "project" (
	id INTEGER NOT NULL, 
	name VARCHAR NOT NULL, 
	description TEXT, 
	permalink VARCHAR NOT NULL, 
	path VARCHAR NOT NULL, 
	is_active BOOLEAN NOT NULL, 
	is_default BOOLEAN, 
	created_at DATETIME NOT NULL, 
	updated_at DATETIME NOT NULL, 
	last_scan_timestamp FLOAT, 
	last_file_count INTEGER, 
	external_id VARCHAR NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE (permalink), 
	UNIQUE (name)
);
CREATE TABLE "entity" (
	id INTEGER NOT NULL, 
	title VARCHAR NOT NULL, 
	note_type VARCHAR NOT NULL, 
	entity_metadata JSON, 
	content_type VARCHAR NOT NULL, 
	permalink VARCHAR, 
	file_path VARCHAR NOT NULL, 
	checksum VARCHAR, 
	created_at DATETIME NOT NULL, 
	updated_at DATETIME NOT NULL, 
	project_id INTEGER NOT NULL, 
	mtime FLOAT, 
	size INTEGER, 
	external_id VARCHAR NOT NULL, tags_json TEXT GENERATED ALWAYS AS (json_extract(entity_metadata, '$.tags')) VIRTUAL, frontmatter_status TEXT GENERATED ALWAYS AS (json_extract(entity_metadata, '$.status')) VIRTUAL, frontmatter_type TEXT GENERATED ALWAYS AS (json_extract(entity_metadata, '$.type')) VIRTUAL, created_by VARCHAR, last_updated_by VARCHAR, 
	PRIMARY KEY (id), 
	CONSTRAINT fk_entity_project_id FOREIGN KEY(project_id) REFERENCES project (id)
);
INSERT INTO alembic_version ("version_num") VALUES ('7f6a2b8c9d10');
INSERT INTO project ("id", "name", "description", "permalink", "path", "is_active", "is_default", "created_at", "updated_at", "last_scan_timestamp", "last_file_count", "external_id") VALUES (1,'garden',NULL,'garden','/home/ann/garden',1,1,'2026-11-23 01:36:55.156274','2026-11-23 01:36:55.172386',NULL,NULL,'53ef6e46-a3dd-4bbd-8d39-9a7dff6f66cd');
INSERT INTO project ("id", "name", "description", "permalink", "path", "is_active", "is_default", "created_at", "updated_at", "last_scan_timestamp", "last_file_count", "external_id") VALUES (2,'main',NULL,'main','/home/ann/home/main',1,NULL,'2026-11-23 01:36:58.803005','2026-11-23 01:36:58.803009',NULL,NULL,'0995b46d-ebd4-4966-b41f-c945962fde84');
INSERT INTO project ("id", "name", "description", "permalink", "path", "is_active", "is_default", "created_at", "updated_at", "last_scan_timestamp", "last_file_count", "external_id") VALUES (3,'shed',NULL,'shed','/home/ann/shed',1,NULL,'2026-11-23 01:37:08.824314','2026-11-23 01:37:08.824319',NULL,NULL,'8bdab739-be49-41e1-8acd-5a3d5f346eb8');
INSERT INTO entity ("id", "title", "note_type", "entity_metadata", "content_type", "permalink", "file_path", "checksum", "created_at", "updated_at", "project_id", "mtime", "size", "external_id", "created_by", "last_updated_by") VALUES (1,'Gone','note','{"title": "Gone", "type": "note", "permalink": "garden/gone"}','text/markdown','garden/gone','Gone.md','7e9b592bb59110da700e3d75a5639dd6cb6d870e025d8b93f44f141fe49f0b6a','2026-11-23 01:36:58.884385','2026-11-23 01:36:47.593094',1,1.79539780759309411046e+09,28,'5f7eac17-1688-4219-a93b-a7e4eaf3c7a2',NULL,NULL);
INSERT INTO entity ("id", "title", "note_type", "entity_metadata", "content_type", "permalink", "file_path", "checksum", "created_at", "updated_at", "project_id", "mtime", "size", "external_id", "created_by", "last_updated_by") VALUES (2,'North','note','{"title": "North", "permalink": "north", "type": "note"}','text/markdown','north','beds/North Bed.md','27bc96c99c73a4a21f2996d7e59097c2e2d3ebc07d11b3b9290c572fe639b08e','2026-11-23 01:36:58.885252','2026-11-23 01:36:47.592600',1,1795397807.5926,55,'51103b3f-8b21-4e40-8a3e-03e3becb208e',NULL,NULL);
INSERT INTO entity ("id", "title", "note_type", "entity_metadata", "content_type", "permalink", "file_path", "checksum", "created_at", "updated_at", "project_id", "mtime", "size", "external_id", "created_by", "last_updated_by") VALUES (3,'Plan','note','{"title": "Plan", "tags": ["spring"], "type": "note", "permalink": "garden/plan"}','text/markdown','garden/plan','Plan.md','dd714d4d3e9d4ccae4a101c6ca3e0619cb22c0231e3d0e3e0e50ae350fa014c0','2026-11-23 01:36:58.884954','2026-11-23 01:36:47.592112',1,1.79539780759211206433e+09,93,'7df658c8-5a83-4843-8b7a-5af9ac0ff7b2',NULL,NULL);
INSERT INTO entity ("id", "title", "note_type", "entity_metadata", "content_type", "permalink", "file_path", "checksum", "created_at", "updated_at", "project_id", "mtime", "size", "external_id", "created_by", "last_updated_by") VALUES (4,'é','note','{"title": "\u00e9", "type": "note", "permalink": "garden/under/e"}','text/markdown','garden/under/e','Ünder/é.md','08eb3a86dbffb8bb931daf03196a86301ccd10c5be33115824fa2112c96668c6','2026-11-23 01:36:58.885593','2026-11-23 01:36:47.592870',1,1795397807.59287,6,'79f7b9db-1271-467c-8d34-6f4a14c1e9c5',NULL,NULL);
INSERT INTO entity ("id", "title", "note_type", "entity_metadata", "content_type", "permalink", "file_path", "checksum", "created_at", "updated_at", "project_id", "mtime", "size", "external_id", "created_by", "last_updated_by") VALUES (5,'Soil','note','{"title": "Soil", "type": "note", "permalink": "garden/soil"}','text/markdown','garden/soil','Soil.md','dfa13a3be777e5bd4003529cefe4beb1bce80123838dc26624b0912147696f2b','2026-11-23 01:36:58.885100','2026-11-23 01:36:47.592175',1,1.79539780759217500682e+09,52,'234370fd-0b18-424d-b3ae-3520e98f845a',NULL,NULL);
INSERT INTO entity ("id", "title", "note_type", "entity_metadata", "content_type", "permalink", "file_path", "checksum", "created_at", "updated_at", "project_id", "mtime", "size", "external_id", "created_by", "last_updated_by") VALUES (6,'south-bed','note','{"title": "south-bed", "type": "note", "permalink": "garden/beds/south-bed-1"}','text/markdown','garden/beds/south-bed-1','beds/south-bed.md','6e868525a5731b91295eb475650f092752fb5b2dc636811dfdce02e91d47c876','2026-11-23 01:36:58.885529','2026-11-23 01:36:47.592763',1,1.7953978075927629471e+09,43,'b39fe36c-5ac5-4abf-894f-051ae58a46d9',NULL,NULL);
INSERT INTO entity ("id", "title", "note_type", "entity_metadata", "content_type", "permalink", "file_path", "checksum", "created_at", "updated_at", "project_id", "mtime", "size", "external_id", "created_by", "last_updated_by") VALUES (7,'South Bed','note','{"created": "2023-04-05T06:07:08+00:00", "title": "South Bed", "type": "note", "permalink": "garden/beds/south-bed"}','text/markdown','garden/beds/south-bed','beds/South Bed.md','87085691430e842b855e4c05e754fab42a42b9b7d4c8a9d01a9b7c3531879ad8','2023-04-05 06:07:08.000000','2026-11-23 01:36:47.592682',1,1.79539780759268188478e+09,62,'e07d4d29-3b64-4713-9e0b-62742843efda',NULL,NULL);
INSERT INTO entity ("id", "title", "note_type", "entity_metadata", "content_type", "permalink", "file_path", "checksum", "created_at", "updated_at", "project_id", "mtime", "size", "external_id", "created_by", "last_updated_by") VALUES (8,'map.pdf','file',NULL,'application/pdf',NULL,'map.pdf','e5c62df5dab5c87b6a015ef3d43597074d1eec433b15f51aec63b8582d0e4ab4','2026-11-23 01:36:59.104670','2026-11-23 01:36:47.593000',1,1795397807.593,9,'f6515e47-5535-4295-9f1c-379baafa591e',NULL,NULL);
INSERT INTO entity ("id", "title", "note_type", "entity_metadata", "content_type", "permalink", "file_path", "checksum", "created_at", "updated_at", "project_id", "mtime", "size", "external_id", "created_by", "last_updated_by") VALUES (9,'Plan','note','{"title": "Plan", "type": "note", "permalink": "shed/plan"}','text/markdown','shed/plan','Plan.md','f4bb880565425840dfcb7e914d636d377f22feae466af26176c5659dc6974708','2026-11-23 01:37:14.255816','2026-11-23 01:36:47.593227',3,1.79539780759322690961e+09,14,'df1b3fe4-053d-412c-b568-c6e399c90c73',NULL,NULL);
INSERT INTO observation ("id", "entity_id", "content", "category", "context", "tags", "project_id") VALUES (1,3,'Grow #food','goal',NULL,'["food"]',1);
INSERT INTO relation ("id", "from_id", "to_id", "to_name", "relation_type", "context", "project_id", "generation") VALUES (1,2,3,'Plan','links_to',NULL,1,1);
INSERT INTO relation ("id", "from_id", "to_id", "to_name", "relation_type", "context", "project_id", "generation") VALUES (2,5,3,'garden/plan','links_to',NULL,1,1);
INSERT INTO relation ("id", "from_id", "to_id", "to_name", "relation_type", "context", "project_id", "generation") VALUES (4,3,NULL,'beds/north-bed','links_to',NULL,1,1);
INSERT INTO relation ("id", "from_id", "to_id", "to_name", "relation_type", "context", "project_id", "generation") VALUES (5,3,5,'Soil','needs',NULL,1,1);
INSERT INTO relation ("id", "from_id", "to_id", "to_name", "relation_type", "context", "project_id", "generation") VALUES (6,7,2,'north','beside',NULL,1,1);
CREATE INDEX ix_relation_from_id ON relation (from_id);
CREATE INDEX ix_relation_to_id ON relation (to_id);
CREATE INDEX ix_relation_type ON relation (relation_type);
CREATE INDEX ix_relation_project_id ON relation (project_id);
CREATE INDEX ix_observation_entity_id ON observation (entity_id);
CREATE INDEX ix_observation_category ON observation (category);
CREATE INDEX ix_observation_project_id ON observation (project_id);
CREATE UNIQUE INDEX ix_project_name ON project (name);
CREATE UNIQUE INDEX ix_project_permalink ON project (permalink);
CREATE INDEX ix_project_path ON project (path);
CREATE INDEX ix_project_created_at ON project (created_at);
CREATE INDEX ix_project_updated_at ON project (updated_at);
CREATE UNIQUE INDEX ix_project_external_id ON project (external_id);
CREATE INDEX ix_entity_updated_at ON entity (updated_at);
CREATE INDEX ix_entity_project_id ON entity (project_id);
CREATE INDEX ix_entity_permalink ON entity (permalink);
CREATE INDEX ix_entity_title ON entity (title);
CREATE UNIQUE INDEX uix_entity_permalink_project ON entity (permalink, project_id) WHERE content_type = 'text/markdown' AND permalink IS NOT NULL;
CREATE INDEX ix_entity_created_at ON entity (created_at);
CREATE UNIQUE INDEX uix_entity_file_path_project ON entity (file_path, project_id);
CREATE INDEX ix_entity_file_path ON entity (file_path);
CREATE UNIQUE INDEX ix_entity_external_id ON entity (external_id);
CREATE INDEX idx_entity_tags_json ON entity (tags_json);
CREATE INDEX idx_entity_frontmatter_status ON entity (frontmatter_status);
CREATE INDEX idx_entity_frontmatter_type ON entity (frontmatter_type);
CREATE INDEX ix_note_type ON entity (note_type);
CREATE INDEX ix_relation_project_from_generation ON relation (project_id, from_id, generation);
COMMIT;
