// The type of a dashboard file: Grafana's own types, with enumerations as they are written in JSON, and without what
// Grafana fills in by itself. A key that Grafana does not know is an error, too.
import type { Dataquery } from "@grafana/grafana-foundation-sdk/prometheus";
import type * as schema from "@grafana/schema";
import type { Options as BarGauge } from "@grafana/schema/dist/esm/raw/composable/bargauge/panelcfg/x/BarGaugePanelCfg_types.gen";
import type { Options as Stat } from "@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen";
import type {
  FieldConfig as TableField,
  Options as Table,
} from "@grafana/schema/dist/esm/raw/composable/table/panelcfg/x/TablePanelCfg_types.gen";
import type {
  FieldConfig as TimeSeriesField,
  Options as TimeSeries,
} from "@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen";

/** JSON of a value: a string enumeration becomes the union of its strings. */
type Json<T> = T extends string
  ? `${T}`
  : T extends number | boolean | null | undefined
    ? T
    : T extends (infer Item)[]
      ? Json<Item>[]
      : T extends object
        ? { [Key in keyof T]: Json<T[Key]> }
        : T;

/** A value that Grafana merges with its defaults. */
type Partly<T> = T extends (infer Item)[]
  ? Partly<Item>[]
  : T extends object
    ? { [Key in keyof T]?: Partly<T[Key]> }
    : T;

interface DataLink {
  title: string;
  url: string;
}

type Query = Omit<Json<Dataquery>, "_implementsDataqueryVariant">;

type FieldDefaults<Custom> = Omit<Json<schema.FieldConfig>, "custom" | "links"> & {
  custom?: Partly<Json<Custom>>;
  links?: DataLink[];
};

/** A panel of one kind. A panel must have a title, a description and a place. */
type Panel<Kind extends string, Options, Custom> = Omit<
  Json<schema.Panel>,
  "type" | "options" | "fieldConfig" | "targets"
> & {
  id: number;
  type: Kind;
  title: string;
  description: string;
  gridPos: schema.GridPos;
  targets: Query[];
  options?: Partly<Json<Options>>;
  fieldConfig: {
    defaults: FieldDefaults<Custom>;
    overrides: Json<schema.FieldConfigSource["overrides"]>;
  };
};

type AnyPanel =
  | Panel<"stat", Stat, never>
  | Panel<"bargauge", BarGauge, never>
  | Panel<"table", Table, TableField>
  | Panel<"timeseries", TimeSeries, TimeSeriesField>
  | (Omit<Json<schema.RowPanel>, "panels"> & { panels: [] });

export type Dashboard = Omit<Json<schema.Dashboard>, "panels"> & {
  uid: string;
  title: string;
  description: string;
  panels: AnyPanel[];
};
